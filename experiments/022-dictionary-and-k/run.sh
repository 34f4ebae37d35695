#!/bin/bash
# How many latents, and how many of them a token: DATA=FOLDER experiments/022-dictionary-and-k/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
ledger=$out/dictionary.jsonl
short="stages.sae.fit.steps=300"  # a quarter of the texts
try "16,384 latents, k 16" $short stages.sae.k=16
try "16,384 latents, k 8" $short stages.sae.k=8
try "16,384 latents, k 32" $short
try "8,192 latents, k 16" $short stages.sae.k=16 stages.sae.latents=8192
try "32,768 latents, k 16" $short stages.sae.k=16 stages.sae.latents=32768
