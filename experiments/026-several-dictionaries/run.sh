#!/bin/bash
# Several dictionaries of one encoder, their rankings fused: DATA=FOLDER experiments/026-several-dictionaries/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
short="stages.sae.fit.steps=300 stages.sae.activations=streamed"  # those of 022
k32=$(train +exp=latent $short)
k64=$(train +exp=latent $short stages.sae.k=64)
k8=$(train +exp=latent $short stages.sae.k=8)
small=$(train +exp=latent $short stages.sae.latents=8192)
dev "$k32" "k 32" $formula
dev "$k64" "k 64" $formula
dev "$k8" "k 8" $formula
dev "$small" "8,192, k 32" $formula
# LABEL METHOD MODEL...
several() {
  together "${@:2}"
  for bench in "demo --split train" latent_dev; do
    trivet eval --config-dir $here --ledger "$devs" --bench $bench --label "$1, $2" "${words[@]}"
  done
}
for method in rrf minmax; do
  several "k 8 + k 64" $method "$k8" "$k64"
  several "k 32 + k 64" $method "$k32" "$k64"
  several "k 32 + k 64 + 8,192" $method "$k32" "$k64" "$small"
  several "all four" $method "$k32" "$k64" "$small" "$k8"
done
# what was chosen, once, on the tasks on which 023 has one dictionary of as few tokens
together minmax "$k32" "$k64" "$small" "$k8"
trivet eval --config-dir $here --bench latent --tasks scifact,limit-small --ledger "$ledger" \
  --label "latent terms of four dictionaries" "${words[@]}"
trivet compare "latent terms, 300 steps" "latent terms of four dictionaries" --bench latent --ledger "$ledger" \
  --across lengths,prompts
trivet report --ledger "$devs"
