#!/bin/bash
# The same encoder with random weights: DATA=FOLDER experiments/023-negative-control/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
model=$(train +exp=latent backbone@stages.start.backbone=minilm_random stages.sae.activations=streamed stages.sae.fit.steps=300)
find_terms --bench latent --model "$model" --label "latent terms, random weights" $formula
trained=$(train +exp=latent stages.sae.fit.steps=300)
find_terms --bench latent --model "$trained" --label "latent terms, 300 steps" $formula
