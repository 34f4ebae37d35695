"""Whether a model gives the same vectors where only PyLate is installed.

`python in_pylate.py write MODEL FILE` with trivet, then `python in_pylate.py compare MODEL FILE` in
an environment made by `pip install torch==2.11.0 pylate==1.6.0`.
"""

import json
import sys

import numpy as np

TEXTS = {
    "query": ["Is 0-dimensional biomaterial bone?", "statins", "¿Qué es la aspirina?"],
    "document": ["", "Aspirin, ibuprofen and naproxen.", "A long one. " * 200, "E = mc²; café"],
}


def write(model: str, file: str) -> None:
    from pathlib import Path

    from trivet.models.colbert_layout import load_colbert

    found = load_colbert(Path(model)).eval()
    vectors = {
        side: [
            row.tolist() for row in found(found.tokenizer(texts, side).ids, side)
        ]  # each (tokens, D)
        for side, texts in TEXTS.items()
    }
    with open(file, "w", encoding="utf-8") as stream:
        json.dump(vectors, stream)


def compare(model: str, file: str) -> None:
    import importlib.util

    from pylate import models

    assert importlib.util.find_spec("trivet") is None, "trivet is installed here"
    with open(file, encoding="utf-8") as stream:
        ours = json.load(stream)
    theirs = models.ColBERT(model, device="cpu")
    lowest = 1.0
    for side, texts in TEXTS.items():
        rows = theirs.encode(texts, is_query=side == "query", show_progress_bar=False)
        for mine, other in zip(ours[side], rows, strict=True):
            a, b = np.array(mine), np.array(other)
            assert a.shape == b.shape, (side, a.shape, b.shape)
            lowest = min(lowest, float((a * b).sum(1).min()))
    modules = [type(module).__name__ for module in theirs]
    print(f"{', '.join(modules)}: cosine {lowest:.7f} at least")


if __name__ == "__main__":
    {"write": write, "compare": compare}[sys.argv[1]](*sys.argv[2:])
