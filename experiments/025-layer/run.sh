#!/bin/bash
# Which layer's vectors a dictionary is of: DATA=FOLDER experiments/025-layer/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
source experiments/020-latent-limit/common.sh
formula="retriever.idf=lucene retriever.k1=0.5"
short="stages.sae.fit.steps=300 stages.sae.activations=streamed"
for layer in 3 4; do  # the layers above are left out; 6, the last, is in 022
  try "layer $layer" $short stages.start.backbone.layers=$layer
done
trivet report --ledger "$devs"
