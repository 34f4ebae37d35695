#!/bin/bash
# Muon and AdamW, each at its own best rate, three seeds: DATA=FOLDER experiments/012-muon-vs-adamw/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export out=${OUT:-outputs/late} retriever=colbert
source experiments/common.sh
two_layers

wide="$late head@$head=edge17m"
muon="$wide optim@$optim=muon $optim.adamw.lr=1e-3"
# each optimiser's rate, on SciFact's train queries
{
  for rate in 3e-4 1e-3 3e-3; do echo "AdamW, $rate|$wide $lr=$rate"; done
  for rate in 3e-4 1e-3 3e-3 1e-2 3e-2; do echo "Muon, $rate|$muon $lr=$rate"; done
} | work=choose seeds 0
seeds "1 2 3" <<END
AdamW|$wide $lr=1e-3
Muon|$muon $lr=1e-2
END
compare AdamW Muon
