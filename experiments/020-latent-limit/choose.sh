#!/bin/bash
# The formula, chosen before a test is run: DATA=FOLDER experiments/020-latent-limit/choose.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
model=$(train +exp=latent stages.sae.k=16)
dev "$model" "the paper's: k1 8, b .7, robertson"
dev "$model" "k1 0.5, binary" retriever.k1=0.5 retriever.scale=binary
dev "$model" "k1 0.5, no root" retriever.k1=0.5 retriever.scale=none
for k1 in 0.5 1.5; do
  for b in 0.3 0.7; do
    dev "$model" "k1 $k1, b $b" retriever.k1=$k1 retriever.b=$b
  done
done
for share in 0.3 0.1 0.03; do  # without the latents that most documents have
  dev "$model" "k1 1, at most $share" retriever.k1=1 retriever.most_share=$share
done
for k1 in 0.25 0.5 1 1.5 3; do
  dev "$model" "k1 $k1, lucene" retriever.k1=$k1 retriever.idf=lucene
done
for power in 0.1 0.4 0.7 1.5 2 3; do
  dev "$model" "k1 0.5, lucene to the power of $power" retriever.k1=0.5 retriever.idf=lucene \
    retriever.idf_power=$power
done
trivet report --ledger "$devs"
