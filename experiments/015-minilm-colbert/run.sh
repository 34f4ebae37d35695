#!/bin/bash
# A ColBERT model of MiniLM's size, zero-shot and in-domain: DATA=FOLDER experiments/015-minilm-colbert/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export out=${OUT:-outputs/minilm-colbert}
source experiments/common.sh
measure() { trivet eval --bench demo --ledger "$ledger" "$@"; }

measure --retriever bm25 --label BM25
dense=$(trivet train +exp=whole_minilm out="$out" stages.start.lengths.document=254 | tail -n 1)
measure --model "$dense" --label "all-MiniLM-L6-v2, 256 tokens"
general=$(train +exp=minilm_colbert)
measure --retriever colbert --model "$general" --label "MiniLM ColBERT, zero-shot"
measure --retriever colbert --model "$general" retriever.lengths.document=300 \
  --label "MiniLM ColBERT, zero-shot, 300 tokens"

trivet mine --pairs src/trivet/assets/demo/scifact --out "$out" mine.number=1 mine.judge=null \
  '~mine.miners.dense' mine.miners.bm25.share=0.7 >&2
MINED=$(ls -d "$out"/artifacts/negatives-*/rows.jsonl.zst)
export MINED
tuned=$(train +exp=minilm_colbert_scifact parent="$general")
measure --retriever colbert --model "$tuned" --label "MiniLM ColBERT, in-domain"

mkdir -p "$out/data" && ln -sfn "$(realpath "$DATA/bench/limit/full")" "$out/data/limit"
limit() { trivet eval --bench limit --data "$out/data" --ledger "$ledger" "$@"; }
limit --retriever bm25 --label BM25
limit --model "$dense" retriever.precision=bf16 --label "all-MiniLM-L6-v2, 256 tokens"
limit --retriever colbert --model "$general" retriever.precision=bf16 --label "MiniLM ColBERT, zero-shot"
trivet sizes --bench demo --retriever colbert --model "$general" retriever.precision=bf16 --ledger "$out/sizes.jsonl"

for base in BM25 "all-MiniLM-L6-v2, 256 tokens"; do
  trivet compare "$base" "MiniLM ColBERT, zero-shot" "MiniLM ColBERT, zero-shot, 300 tokens" \
    "MiniLM ColBERT, in-domain" --bench demo \
    --ledger "$ledger" --across lengths,prompts
done
