#!/bin/bash
# The formula, chosen before a test is run: DATA=FOLDER experiments/020-latent-limit/choose.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
ledger=$out/chosen.jsonl
model=$(train +exp=latent)
for k1 in 0.5 1.5 8; do
  for b in 0.3 0.7; do
    dev "$model" "k1 $k1, b $b" retriever.k1=$k1 retriever.b=$b
  done
done
