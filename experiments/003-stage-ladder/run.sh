#!/bin/bash
# The ladder and its ablations from nothing: DATA=FOLDER experiments/003-stage-ladder/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export out=${OUT:-outputs/ladder} retriever=dense
source experiments/common.sh
jobs() { sed 's/|/|+exp=ladder seed_from=pretrain /' | seeds "1 2 3"; }

whole=$(trivet train +exp=whole_minilm out="$out" | tail -n 1)
measure --retriever bm25 --label BM25
measure --model "$whole" --label all-MiniLM-L6-v2
MINED=$(mine mixed --model "$whole")
export MINED

job dense start +exp=ladder seed_from=pretrain until=start seed=1
jobs <<EOF
pretrain|until=pretrain
finetune|until=finetune
distill|
EOF

dense=$(mine dense --model "$whole" mine.miners.dense.share=1 '~mine.miners.bm25' mine.random=0)
bm25=$(mine bm25 --model "$whole" mine.miners.dense.share=0 mine.miners.bm25.share=1 mine.random=0)
random=$(mine random --model "$whole" mine.miners.dense.share=0 '~mine.miners.bm25' mine.random=1)
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

compare start pretrain
compare pretrain finetune "pretrain, sources mixed"
compare finetune distill "finetune, dense negatives" "finetune, BM25 negatives" "finetune, random negatives"
compare distill "distill, 128 dimensions" "distill, three losses" "distill, L2, linear head" \
  "distill, L2, two layers" all-MiniLM-L6-v2
