#!/bin/bash
# How both sides of the KL are scaled, three seeds: DATA=FOLDER experiments/014-kl-normalisation/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export out=${OUT:-outputs/late} retriever=colbert
source experiments/common.sh
two_layers

# the teacher: a ColBERT model of MiniLM's size, zero-shot; it scores eight documents a query
teacher=$(train +exp=minilm_colbert stages.colbert.fit.precision=bf16)
whole=$(trivet train +exp=whole_minilm out="$out" | tail -n 1)
EIGHT=$(mine eight --model "$whole" mine.number=7 data.sources.0.limit=2688)
trivet score --pairs "$EIGHT" --out "$out/scored" reranker@mine.reranker=colbert --model "$teacher" >&2
SCORED=$(ls -d "$out"/scored/artifacts/scores-*/rows.jsonl.zst)
export SCORED
taught="+exp=late_taught parent=$base" kl=stages.colbert.losses.kl.loss

scales=$(cat <<END
KL, both min-max|$taught
KL, student min-max|$taught $kl.teacher.normalize=none
KL, both z|$taught $kl.student.normalize=z $kl.teacher.normalize=z
KL, none|$taught $kl.student.normalize=none $kl.teacher.normalize=none
END
)

seeds "1 2 3" <<<"$scales"
compare "KL, both min-max" "KL, student min-max" "KL, both z" "KL, none"
