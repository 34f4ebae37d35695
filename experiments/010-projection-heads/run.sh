#!/bin/bash
# Four heads, five seeds: DATA=FOLDER experiments/010-projection-heads/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
# negatives as in 003, and the ladder's pretrained two-layer model to turn
export out=${OUT:-outputs/late} retriever=colbert
source experiments/common.sh
whole=$(trivet train +exp=whole_minilm out="$out" | tail -n 1)
MINED=$(mine mixed --model "$whole")
export MINED
base=$(train +exp=ladder until=pretrain seed=1)
late="+exp=late parent=$base"
head=stages.colbert.head lr=stages.colbert.optim.lr

heads=$(cat <<EOF
linear|$late
FFN|$late head@$head=ffn $head.dim=48 $head.factor=1
FFN, twice as wide, residual|$late head@$head=edge17m
GLU|$late head@$head=glu $head.dim=48 stages.colbert.plain=false
EOF
)
# each head's rate, on SciFact's train queries
for rate in 3e-4 1e-3 3e-3; do sed "s/|/, $rate|$lr=$rate /" <<<"$heads"; done | work=choose seeds 0
seeds "1 2 3 4 5" <<<"$heads"
compare linear FFN "FFN, twice as wide, residual" GLU
