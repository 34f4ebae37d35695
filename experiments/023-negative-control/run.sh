#!/bin/bash
# The same encoder with random weights: DATA=FOLDER experiments/023-negative-control/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
short="stages.sae.fit.steps=300"  # a quarter of the texts
random=$(train +exp=latent $short backbone@stages.start.backbone=minilm_random stages.sae.activations=streamed)
find_terms --bench latent --tasks scifact,limit-small --model "$random" --label "latent terms of random weights" $formula
trained=$(train +exp=latent $short)
find_terms --bench latent --tasks scifact,limit-small --model "$trained" --label "latent terms, 300 steps" $formula
