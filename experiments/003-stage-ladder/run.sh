#!/bin/bash
# The ladder and its ablations from nothing: DATA=FOLDER experiments/003-stage-ladder/run.sh
# DATA holds bench/ and pairs/ and, beside it, models/splade-tiny. JOBS of them run at once (default 1).
set -euo pipefail
cd "$(dirname "$0")/../.."

export DATA out=${OUT:-outputs/ladder} ledger=${LEDGER:-results/ledger.jsonl}
export here=experiments/003-stage-ladder/configs

measure() { trivet eval --config-dir $here --bench ladder --ledger "$ledger" "$@"; }
# LABEL OVERRIDES...: train a model, or find it, and measure it
job() {
  local model
  model=$(trivet train --config-dir $here +exp=ladder out="$out" seed_from=pretrain "${@:2}" | tail -n 1)
  measure --model "$model" --label "$1"
}
export -f measure job
# from lines of LABEL|OVERRIDES: a job for each of three seeds
jobs() {
  while IFS='|' read -r label overrides; do
    for seed in 1 2 3; do echo "job '$label' $overrides seed=$seed"; done
  done | xargs -d '\n' -P "${JOBS:-1}" -I {} bash -euo pipefail -c {}
}
# NAME OVERRIDES...: mine negatives, print their file
mine() {
  trivet mine --config-dir $here data=ladder_to_mine --model "$whole" --out "$out/$1" mine.number=1 "${@:2}" >&2
  ls -d "$out/$1"/artifacts/negatives-*/rows.jsonl.zst
}

whole=$(trivet train +exp=whole_minilm out="$out" | tail -n 1)
measure --retriever bm25 --label BM25
measure --model "$whole" --label all-MiniLM-L6-v2
MINED=$(mine mixed)
export MINED

job start until=start seed=1
jobs <<EOF
pretrain|until=pretrain
finetune|until=finetune
distill|
EOF

dense=$(mine dense mine.miners.dense.share=1 '~mine.miners.bm25' mine.random=0)
bm25=$(mine bm25 mine.miners.dense.share=0 mine.miners.bm25.share=1 mine.random=0)
random=$(mine random mine.miners.dense.share=0 '~mine.miners.bm25' mine.random=1)
mined=stages.finetune.data.sources.0.path
head=stages.distill.head=
jobs <<EOF
pretrain, sources mixed|until=pretrain stages.pretrain.data.order=proportional
finetune, dense negatives|until=finetune $mined=$dense
finetune, BM25 negatives|until=finetune $mined=$bm25
finetune, random negatives|until=finetune $mined=$random
distill, 128 dimensions|stages.distill.teacher.dim=128
distill, three losses|loss@stages.distill.loss=stella '$head{_target_: trivet.models.student.Linear}'
distill, L2, linear head|loss@stages.distill.loss=l2 '$head{_target_: trivet.models.student.Linear}'
distill, L2, two layers|loss@stages.distill.loss=l2 '$head{_target_: trivet.models.student.TwoLayer}'
EOF

compare() { trivet compare "$@" --bench ladder --ledger "$ledger"; }
compare start pretrain
compare pretrain finetune "pretrain, sources mixed"
compare finetune distill "finetune, dense negatives" "finetune, BM25 negatives" "finetune, random negatives"
compare distill "distill, 128 dimensions" "distill, three losses" "distill, L2, linear head" \
  "distill, L2, two layers" all-MiniLM-L6-v2
