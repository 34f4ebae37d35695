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
trivet eval --config-dir $here --bench latent --ledger "$ledger" --model "$dense" retriever.precision=$precision \
  --label "all-MiniLM-L6-v2"
on_limit --retriever bm25 --label BM25
on_limit --model "$dense" retriever.precision=$precision --label "all-MiniLM-L6-v2, 256 tokens"
# LABEL PART OVERRIDES: the latents in the place of a part of the hybrid, ranks fused
fused() {
  local place=retriever.parts.$2
  trivet eval --config-dir $here --bench latent --retriever hybrid --ledger "$ledger" --label "$1" \
    "retriever@$place=latent" "$place.model=$model" $place.precision=$precision $place.keep_states=true \
    ${formula//retriever./$place.} "${@:3}"
}
for seed in 0 1 2 3 4; do
  model=$(train +exp=latent seed=$seed)
  find_terms --bench latent --model "$model" --label "latent terms" $formula
  find_terms --bench latent --model "$model" --label "latent terms, the paper's formula"
  fused "BM25 + latent terms" dense
  fused "all-MiniLM-L6-v2 + latent terms" bm25 "retriever.parts.dense.model=$dense" retriever.parts.dense.precision=$precision
  [ "$seed" != 0 ] || for own in "$formula|latent terms" "|latent terms, the paper's formula"; do
    on_limit --retriever latent --model "$model" retriever.precision=$precision retriever.keep_states=true ${own%%|*} \
      --label "${own#*|}"
  done
done
compare() { trivet compare "$@" --bench latent --ledger "$ledger" --across lengths,prompts; }
compare "all-MiniLM-L6-v2" "latent terms"
compare BM25 "latent terms"
compare BM25 "BM25 + latent terms"
compare "latent terms" "BM25 + latent terms"
