#!/bin/bash
# The same encoder with random weights: DATA=FOLDER experiments/023-negative-control/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
short="stages.sae.fit.steps=300 stages.sae.activations=streamed"  # a quarter of the texts, each read once
control() {
  local model
  model=$(train +exp=latent $short "${@:2}")
  find_terms --bench latent --tasks scifact,limit-small --model "$model" --label "$1" $formula
}
control "latent terms of random weights" backbone@stages.start.backbone=minilm_random
control "latent terms, 300 steps"
for other in "all-MiniLM-L6-v2" "latent terms, 300 steps"; do
  trivet compare "latent terms of random weights" "$other" --bench latent --ledger "$ledger" --across lengths,prompts
done
