#!/bin/bash
# A two-layer reranker, zero-shot and in-domain: DATA=FOLDER experiments/017-reranker/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
export out=${OUT:-outputs/reranker}
source experiments/common.sh
judgeless="mine.judge=null ~mine.miners.dense mine.miners.bm25.share=0.7"

trivet mine --config-dir $here data=reranker_to_mine --out "$out/mine" $judgeless >&2
cat "$out"/mine/artifacts/negatives-*/rows.jsonl.zst > "$out/mined.jsonl.zst"
general=$(MINED=$out/mined.jsonl.zst train +exp=reranker)
trivet mine --pairs src/trivet/assets/demo/scifact --out "$out/scifact" $judgeless >&2
tuned=$(MINED=$(ls -d "$out"/scifact/artifacts/negatives-*/rows.jsonl.zst) train +exp=reranker_scifact parent="$general")

measure --retriever bm25 --label BM25
measure --retriever rerank --model "$general" retriever.depth=20 --label "two-layer reranker, zero-shot"
measure --retriever rerank --model "$tuned" retriever.depth=20 --label "two-layer reranker, in-domain"
trivet compare BM25 "two-layer reranker, zero-shot" "two-layer reranker, in-domain" --bench ladder --ledger "$ledger" \
  --across lengths,prompts
