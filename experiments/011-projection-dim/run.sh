#!/bin/bash
# Five sizes of a token's vector, three seeds: DATA=FOLDER experiments/011-projection-dim/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/late.sh

for dim in 16 32 48 64 128; do echo "dim $dim|$late $head.dim=$dim"; done | seeds "1 2 3"
compare "dim 128" "dim 64" "dim 48" "dim 32" "dim 16"
