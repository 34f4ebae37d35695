#!/bin/bash
# Latent terms of all-MiniLM-L6-v2 beside its vectors, five dictionaries: DATA=FOLDER experiments/020-latent-limit/run.sh
# SMALL=1 leaves LIMIT's 50,000 documents out.
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
dense=$(trivet train +exp=whole_minilm out="$out" stages.start.lengths.document=254 stages.start.lengths.query=254 \
  | tail -n 1)
# a folder with LIMIT as `--data` wants it
mkdir -p "$out/data" && ln -sfn "$(realpath "$DATA/bench/limit/full")" "$out/data/limit"
on_limit() { [ -n "${SMALL:-}" ] || trivet eval --bench limit --data "$out/data" --ledger "$ledger" "$@"; }

trivet eval --config-dir $here --bench latent --retriever bm25 --ledger "$ledger" --label BM25
trivet eval --config-dir $here --bench latent --ledger "$ledger" --model "$dense" retriever.precision=bf16 \
  --label "all-MiniLM-L6-v2"
for seed in 0 1 2 3 4; do
  model=$(train +exp=latent seed=$seed)
  find_terms --bench latent --model "$model" --label "latent terms" $formula
  find_terms --bench latent --model "$model" --label "latent terms, the paper's formula"
done
