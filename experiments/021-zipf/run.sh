#!/bin/bash
# Zipf's law of latents, words and SPLADE's terms on SciFact, and ten latents drawn by seed:
# DATA=FOLDER experiments/021-zipf/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
for seed in 0 1 2 3 4; do
  model=$(train +exp=latent seed=$seed)
  trivet sae inspect --model "$model" --bench demo --sample 10 --seed 0 retriever.precision=bf16 \
    retriever.keep_states=true $formula >"$out/inspected-$seed.txt"
  trivet sae explore --model "$model" --bench demo --splade "$DATA/../models/splade-tiny" --out "$out/latents-$seed.html" \
    retriever.precision=bf16 retriever.keep_states=true $formula
done
