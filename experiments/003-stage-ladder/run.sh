#!/bin/bash
# The ladder from nothing: DATA=FOLDER experiments/003-stage-ladder/run.sh
# DATA holds bench/, pairs/ and, beside it, models/splade-tiny.
set -euo pipefail
cd "$(dirname "$0")/../.."

export DATA
out=${OUT:-outputs/ladder}
ledger=${LEDGER:-results/ledger.jsonl}
here=(--config-dir experiments/003-stage-ladder/configs)

whole=$(trivet train +exp=whole_minilm out="$out" | tail -n 1)
trivet mine "${here[@]}" data=ladder_to_mine --model "$whole" --out "$out" mine.number=1
MINED=$(ls -d "$out"/artifacts/negatives-*/rows.jsonl.zst | head -n 1)
export MINED

for seed in 1 2 3; do
  trivet train "${here[@]}" +exp=ladder out="$out" seed=$seed seed_from=pretrain
done

# every artifact of the runs once, under its stage's name
python - "$out" <<'PY' | while read -r stage path; do
import json, pathlib, sys
seen = {}
for run in sorted(pathlib.Path(sys.argv[1], "runs").glob("ladder-*/manifest.json")):
    for stage in json.loads(run.read_text())["stages"]:
        seen[pathlib.Path(stage["path"]).name] = stage["stage"]
for name, stage in seen.items():
    print(stage, f"{sys.argv[1]}/artifacts/{name}")
PY
  trivet eval "${here[@]}" --bench ladder --model "$path" --label "ladder $stage" --ledger "$ledger" </dev/null
done
trivet eval "${here[@]}" --bench ladder --retriever bm25 --label BM25 --ledger "$ledger"
trivet eval "${here[@]}" --bench ladder --model "$whole" --label 'all-MiniLM-L6-v2' --ledger "$ledger"

for pair in "start pretrain" "pretrain finetune" "finetune distill" "start distill"; do
  read -r one other <<<"$pair"
  trivet compare "ladder $one" "ladder $other" --bench ladder --ledger "$ledger"
done
