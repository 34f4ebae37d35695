# What the experiments on latent terms share; sourced from the repository's root.
export out=${OUT:-outputs/latent} TEXTS=${TEXTS:-${OUT:-outputs/latent}/texts.jsonl}
source experiments/common.sh
precision=${PRECISION:-bf16}  # fp32 where a CPU has no units for bf16
train() { trivet train --config-dir $here out="$out" stages.sae.fit.precision=$precision "$@" | tail -n 1; }
[ -f "$TEXTS" ] || python experiments/020-latent-limit/texts.py "$DATA/pairs" "$TEXTS"
# OVERRIDES: a row of BM25 over latent terms
find_terms() {
  trivet eval --config-dir $here --retriever latent --ledger "$ledger" \
    retriever.precision=$precision retriever.keep_states=true "$@"
}
devs=${DEV_LEDGER:-results/dev/ledger.jsonl}
# MODEL LABEL OVERRIDES: what is chosen is chosen on SciFact's train queries, and on a task in LIMIT's style that
# trivet generates from words of its own (5,000 people); no row of this ledger is a test
dev() {
  local ledger=$devs
  find_terms --bench demo --split train --model "$1" --label "$2" "${@:3}"
  find_terms --bench latent_dev --model "$1" --label "$2" "${@:3}"
}
# METHOD MODEL...: in `words` what makes their latents the parts of a hybrid; `formula` is that of each
together() {
  local part new at=0 model one
  words=(--retriever hybrid retriever.method=$1)
  for model in "${@:2}"; do
    new=+ part=retriever.parts.more$at
    case $at in 0) new= part=retriever.parts.bm25 ;; 1) new= part=retriever.parts.dense ;; esac
    at=$((at + 1))
    words+=("${new}retriever@$part=latent" $part.model="$model" $part.precision=$precision $part.keep_states=true)
    for one in $formula; do words+=(${one/retriever./$part.}); done
  done
}
# LABEL|OVERRIDES: a dictionary, measured on the two
try() {
  local model
  model=$(train +exp=latent "${@:2}")
  dev "$model" "$1" $formula
}
formula="retriever.idf=lucene retriever.idf_power=0.4 retriever.k1=0.5"  # what choose.sh chose
