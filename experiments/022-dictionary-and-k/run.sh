#!/bin/bash
# How many latents, and how many of them a token: DATA=FOLDER experiments/022-dictionary-and-k/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
formula="retriever.idf=lucene retriever.k1=0.5"
short="stages.sae.fit.steps=300 stages.sae.activations=streamed"  # a quarter of the texts, each read once
try "16,384 latents, k 16" $short stages.sae.k=16
try "16,384 latents, k 32" $short
try "32,768 latents, k 16" $short stages.sae.k=16 stages.sae.latents=32768
try "16,384 latents, k 8" $short stages.sae.k=8
try "16,384 latents, k 64" $short stages.sae.k=64
try "8,192 latents, k 32" $short stages.sae.latents=8192
trivet report --ledger "$devs"
