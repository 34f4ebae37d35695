#!/bin/bash
# Zipf's law of latents, words and SPLADE's terms on SciFact, and ten latents drawn by seed:
# DATA=FOLDER experiments/021-zipf/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
model=$(train +exp=latent seed=0)
own="retriever.precision=$precision retriever.keep_states=true $formula"
trivet sae inspect --model "$model" --bench demo --sample 10 --seed 0 $own
# one card, since only the curves are wanted
trivet sae explore --model "$model" --bench demo --latents 1 --out "$out/latents.html" \
  --splade "$DATA/../models/splade-tiny" $own
