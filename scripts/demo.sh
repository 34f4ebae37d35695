#!/usr/bin/env bash
# The demo: a small encoder in four stages, trained on data that ships with trivet and measured on SciFact's test split.
# Every line is a trivet command that can be typed by hand.
set -euo pipefail
trivet=${TRIVET:-.venv/bin/trivet}
out=outputs/demo
ledger=$out/ledger.jsonl
query=641        # "Insomnia can be effectively treated with cognitive behavioral therapy": for the picture
began=$SECONDS
say() { printf '\n== %s\n' "$*"; }
measure() { "$trivet" eval --bench demo --ledger "$ledger" "$@" | sed -n 1,4p; }  # head would close the pipe early

mkdir -p "$out"
rm -f "$ledger"
say "1/8  BM25, the baseline to beat"
measure --retriever bm25 --label BM25
say "2/8  The start: three of all-MiniLM-L6-v2's six layers, untrained"
start=$("$trivet" train +exp=demo until=start out="$out" | tail -n 1)
measure --model "$start" --label "untrained start"
say "3/8  Stage 1, pretraining on SciTLDR and SciFact's train split: contrast, in-batch negatives"
"$trivet" train +exp=demo until=pretrain out="$out" | tail -n 1
say "4/8  Stage 2, fine-tuning on negatives that BM25 finds, and random ones"
"$trivet" mine --pairs src/trivet/assets/demo/scifact --out "$out" mine.number=1 mine.judge=null \
  ~mine.miners.dense mine.miners.bm25.share=0.7   # with a GPU: --model MODEL, judged
cp "$(ls -t "$out"/artifacts/negatives-*/rows.jsonl.zst | head -n 1)" "$out/mined.jsonl.zst"
tuned=$("$trivet" train +exp=demo until=finetune out="$out" | tail -n 1)
measure --model "$tuned" --label "pretrained and fine-tuned"
say "5/8  Stage 3, distillation: the whole all-MiniLM-L6-v2 teaches its first three layers"
distilled=$("$trivet" train +exp=demo until=distill out="$out" | tail -n 1)
measure --model "$distilled" --label "distilled"
say "6/8  Stage 4, ColBERT: a vector for each token, contrast with the mined negatives"
model=$("$trivet" train +exp=demo out="$out" | tail -n 1)
measure --retriever colbert --model "$model" --label "ColBERT"
say "7/8  The whole all-MiniLM-L6-v2, twice the layers, for comparison"
whole=$("$trivet" train +exp=whole_minilm out="$out" | tail -n 1)
measure --model "$whole" --label "all-MiniLM-L6-v2"
say "8/8  A picture: which query token matched which document token"
"$trivet" explain --bench demo --model "$model" --query $query --out "$out/match.html"

say "SciFact, test split, 300 queries; documents cut at 126 tokens"
"$trivet" report --ledger "$ledger" --metrics ndcg@10,recall@10,recall@100 \
  --share-of all-MiniLM-L6-v2 --published | tee "$out/table.md"
cat <<EOF

The trained models are in-domain: they have seen SciFact's train split (never its test queries), and the
published rows have not. Those were measured with longer documents, too.

Written in $((SECONDS - began)) s:
  $model   the model; pylate.models.ColBERT("$model") loads it
  $distilled   its dense parent; SentenceTransformer("$distilled") loads it
  $start   the untrained start
  $ledger   one row for each evaluation, with its whole pedigree
  $out/runs/   the log, the metrics and the checkpoints of the run
  $out/table.md   this table
  $out/match.html   which token matched which, for one query: open it in a browser

Try next:
  $trivet train +exp=demo out=$out stages.colbert.losses.contrast.loss.temperature=0.5   # one knob turned: only what changes is made again
  $trivet train -m +exp=demo out=$out seed=1,2,3                      # three seeds
  $trivet eval --bench FOLDER --retriever colbert --model $model      # any folder in BEIR layout
  $trivet explain --model $model --query TEXT --document TEXT --document TEXT
EOF
