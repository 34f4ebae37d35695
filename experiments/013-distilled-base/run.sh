#!/bin/bash
# From which stage a ColBERT model is turned, three seeds: DATA=FOLDER experiments/013-distilled-base/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export out=${OUT:-outputs/late} retriever=colbert
source experiments/common.sh
two_layers

late="+exp=late $head.dim=48"
for stage in start pretrain finetune distill; do
  echo "from $stage|$late parent=$(train +exp=ladder until=$stage seed=1)"
done | seeds "1 2 3"
compare "from finetune" "from distill" "from pretrain" "from start"
