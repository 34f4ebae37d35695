#!/bin/bash
# Dimensions of a token, three seeds: DATA=FOLDER experiments/011-projection-dim/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export out=${OUT:-outputs/late} retriever=colbert
source experiments/common.sh
two_layers

for dim in 16 32 48 64 128; do echo "linear, $dim dimensions|$late $head.dim=$dim"; done |
  seeds "1 2 3"
others=()
for dim in 16 32 64 128; do others+=("linear, $dim dimensions"); done
compare "linear, 48 dimensions" "${others[@]}"
