# What the experiments share; sourced from the repository's root by their run.sh.
# DATA holds bench/ and pairs/ and, beside it, models/splade-tiny. JOBS of them run at once (default 1).
export DATA ledger=${LEDGER:-results/ledger.jsonl}
export here=experiments/configs

train() { trivet train --config-dir $here out="$out" "$@" | tail -n 1; }
measure() { trivet eval --config-dir $here --bench ladder --ledger "$ledger" "$@"; }
# RETRIEVER LABEL OVERRIDES...: train a model, or find it, and measure it
job() {
  local model
  model=$(train "${@:3}")
  measure --retriever "$1" --model "$model" --label "$2"
}
# the same on SciFact's train queries, in a ledger of its own: what is chosen is chosen on these
choose() {
  local model
  model=$(train "${@:3}")
  trivet eval --config-dir $here --bench demo --split train --retriever "$1" --model "$model" --label "$2" \
    --ledger "$out/chosen.jsonl"
}
export -f train measure job choose
# SEEDS, from lines of LABEL|OVERRIDES: a job for each seed
seeds() {
  while IFS='|' read -r label overrides; do
    for seed in $1; do echo "${work:-job} $retriever '$label' $overrides seed=$seed"; done
  done | xargs -d '\n' -P "${JOBS:-1}" -I {} bash -euo pipefail -c {}
}
# NAME OVERRIDES...: mine negatives, print their file
mine() {
  trivet mine --config-dir $here data=ladder_to_mine --out "$out/$1" mine.number=1 "${@:2}" >&2
  ls -d "$out/$1"/artifacts/negatives-*/rows.jsonl.zst
}
# the ladder's pretrained two-layer model, to be turned, and one mined negative a row
two_layers() {
  local whole
  whole=$(trivet train +exp=whole_minilm out="$out" | tail -n 1)
  MINED=$(mine mixed --model "$whole")
  export MINED
  base=$(train +exp=ladder until=pretrain seed=1)
  late="+exp=late parent=$base"
  head=stages.colbert.head optim=stages.colbert.optim lr=stages.colbert.optim.lr
}
compare() { trivet compare "$@" --bench ladder --ledger "$ledger"; }
