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
# MODEL LABEL OVERRIDES: what is chosen is chosen on SciFact's train queries, and on a task in LIMIT's style that
# trivet generates from words of its own (5,000 people)
dev() {
  find_terms --bench demo --split train --model "$1" --label "$2" "${@:3}"
  find_terms --bench latent_dev --model "$1" --label "$2" "${@:3}"
}
# LABEL|OVERRIDES: a dictionary, measured on the two
try() {
  local model
  model=$(train +exp=latent "${@:2}")
  dev "$model" "$1" $formula
}
formula="retriever.idf=lucene retriever.idf_power=0.4 retriever.k1=0.5"  # what choose.sh chose
