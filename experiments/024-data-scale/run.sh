#!/bin/bash
# How many tokens must a dictionary see: DATA=FOLDER experiments/024-data-scale/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
ledger=$out/scale.jsonl
for steps in 1203 300 75; do
  try "$steps steps" stages.sae.fit.steps=$steps
done
