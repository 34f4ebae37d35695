#!/bin/bash
# A ColBERT model of each of the ladder's stages, three seeds: DATA=FOLDER experiments/013-distilled-base/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/late.sh

for stage in start pretrain finetune distill; do
  echo "after $stage|+exp=late parent=$(train +exp=ladder until=$stage seed=1)"
done | seeds "1 2 3"
compare "after finetune" "after distill" "after pretrain" "after start"
