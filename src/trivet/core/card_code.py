"""The lines of code in a model's card, by the kind of model: tests run them as they stand."""

from __future__ import annotations

_DENSE = """
With [sentence-transformers](https://sbert.net), version 5 or 6:

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("MODEL")
queries = model.encode_query(["a question"])
documents = model.encode_document(["an answer", "something else"])
scores = model.similarity(queries, documents)
```

With trivet:

```bash
trivet eval --bench demo --model MODEL
```
"""
_MULTI_VECTOR = """
```python
from sentence_transformers import MultiVectorEncoder

model = MultiVectorEncoder("MODEL")
queries = model.encode_query(["a question"])
documents = model.encode_document(["an answer", "something else"])
scores = model.similarity(queries, documents)
```
"""
_EVAL = """
```bash
trivet eval --bench demo --retriever colbert --model MODEL
```
"""
_PYLATE = """
```python
from pylate import models, scores

model = models.ColBERT("MODEL")
queries = model.encode(["a question"], is_query=True, prompt_name="query")
documents = model.encode(
    ["an answer", "something else"], is_query=False, prompt_name="document"
)
scores = scores.colbert_scores(queries, documents)
```
"""
_COLBERT = f"""
With [PyLate](https://github.com/lightonai/pylate):
{_PYLATE}
With [sentence-transformers](https://sbert.net) 6, whose vectors are the same:
{_MULTI_VECTOR}
With trivet:
{_EVAL}"""
_GATED = f"""
Its head has gates, or a scale beside an activation, so [PyLate](https://github.com/lightonai/pylate)
reads it only where trivet is installed, too:
{_PYLATE}
With trivet:
{_EVAL}"""
_ONNX = """
`reading.json` says what stands around a text on either side; these lines do what it says.

```python
import json

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

reading = json.load(open("MODEL/reading.json"))
tokenizer = Tokenizer.from_file("MODEL/tokenizer.json")
tokenizer.no_padding()
session = onnxruntime.InferenceSession("MODEL/model.onnx")


def encode(text, side):
    how = reading[side]
    text = how["prompt"] + text
    tokenizer.enable_truncation(how["length"])
    ids = tokenizer.encode(text.lower() if reading["lower"] else text).ids
    ids = ids[:1] + how["marker"] + ids[1:]
    more = max(0, how["expand_to"] - len(ids))
    mask = [1] * len(ids) + [int(how["expansion_is_seen"])] * more
    ids = np.array([ids + [how["expansion"]] * more])
    inputs = {"input_ids": ids, "attention_mask": np.array([mask])}
    (vectors,) = session.run(None, inputs)
    return vectors[0] if reading["one_vector"] else vectors[0][~np.isin(ids[0], how["skip"])]


query, document = encode("a question", "query"), encode("an answer", "document")
score = query @ document if reading["one_vector"] else (query @ document.T).max(1).sum()
```
"""
_CROSS = """
With [sentence-transformers](https://sbert.net):

```python
from sentence_transformers import CrossEncoder

model = CrossEncoder("MODEL")
scores = model.predict([("a question", "an answer"), ("a question", "something else")])
```

It cuts the longer one of a pair that is too long; trivet cuts each text at its own length
(trivet.json), so that scores of long queries may differ.

With trivet, after the first twenty that BM25 finds:

```bash
trivet eval --bench demo --retriever rerank --model MODEL retriever.depth=20
```
"""
_LATENT = """
```bash
trivet eval --bench demo --retriever latent --model MODEL
```
"""
CODE = {
    "dense": _DENSE.strip(),
    "colbert": _COLBERT.strip(),
    "gated": _GATED.strip(),
    "multi-vector": f"With [sentence-transformers](https://sbert.net) 6:\n{_MULTI_VECTOR}".strip(),
    "onnx": _ONNX.strip(),
    "cross-encoder": _CROSS.strip(),
    "latent": _LATENT.strip(),
}
