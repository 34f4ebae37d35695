#!/bin/bash
# How scores are normalised before the divergence, three seeds: DATA=FOLDER experiments/014-kl-normalisation/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/late.sh
: "${TEACHER:?a ColBERT model that teaches, such as that of experiment 015}"

MANY=$(mine many --model "$whole" mine.number=7)
export MANY
trivet score --config-dir $here data=late_to_score reranker@mine.reranker=colbert --model "$TEACHER" \
  --out "$out/scored" >&2
SCORED=$(ls -d "$out"/scored/artifacts/scores-*/rows.jsonl.zst)
export SCORED
taught="+exp=late_taught parent=$base"
kl=stages.colbert.losses.kl.loss
seeds "1 2 3" <<EOF
KL, min-max|$taught
KL, z|$taught $kl.student.normalize=z $kl.teacher.normalize=z
KL, as they are|$taught $kl.student.normalize=none $kl.teacher.normalize=none
contrast, no teacher|+exp=late parent=$base data@stages.colbert.data=late_scored stages.colbert.ways=8 stages.colbert.fit.batch=16
EOF
compare "KL, min-max" "KL, z" "KL, as they are" "contrast, no teacher"
