#!/bin/bash
# How many tokens must a dictionary see: DATA=FOLDER experiments/024-data-scale/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
formula="retriever.idf=lucene retriever.k1=0.5"
for steps in 300 1203; do
  try "$steps steps" stages.sae.k=16 stages.sae.fit.steps=$steps
done
trivet report --ledger "$devs"
