# What experiments 010 to 014 share: negatives mined as in 003, and the ladder's pretrained two-layer model to turn.
export out=${OUT:-outputs/late} retriever=colbert
source experiments/common.sh
whole=$(trivet train +exp=whole_minilm out="$out" | tail -n 1)
MINED=$(mine mixed --model "$whole")
export MINED
base=$(train +exp=ladder until=pretrain seed=1)
late="+exp=late parent=$base"
head=stages.colbert.head lr=stages.colbert.optim.lr
