#!/bin/bash
# Two optimisers at their best rates, three seeds: DATA=FOLDER experiments/012-muon-vs-adamw/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/late.sh

# Muon's part moves the layers, AdamW's the head and the embeddings
muon="$late optim@stages.colbert.optim=muon stages.colbert.optim.adamw.lr=1e-3"
for rate in 1e-3 3e-3 1e-2; do echo "Muon $rate|$muon $lr=$rate"; done | work=choose seeds 0
for rate in 3e-4 1e-3 3e-3; do echo "AdamW $rate|$late $lr=$rate"; done | work=choose seeds 0
seeds "1 2 3 4 5" <<EOF
AdamW|$late
Muon|$muon $lr=3e-3
EOF
compare AdamW Muon
