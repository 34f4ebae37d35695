#!/bin/bash
# Four heads, five seeds: DATA=FOLDER experiments/010-projection-heads/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export out=${OUT:-outputs/late} retriever=colbert
source experiments/common.sh
two_layers

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
