"""What Seismic finds of what is searched exactly: in_seismic.py FOLDER [TERMS].

FOLDER is made by `trivet impacts`; Seismic is given the heaviest TERMS of each document (default
200), the exact search has all. Needs `pip install "trivet[seismic]"`. Prints the share of the exact
best 10 of each query that Seismic has among its own, and how long it takes.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import seismic
from scipy.sparse import csr_matrix

CUT, POSTINGS = 100, 2000  # terms of a query that are looked at, documents that a term keeps


def read(path: Path) -> tuple[list[str], Any]:
    """Ids, and a sparse matrix of texts and terms."""
    ids, rows, columns, values = [], [], [], []
    with path.open(encoding="utf-8") as stream:
        for row, line in enumerate(stream):
            one = json.loads(line)
            ids.append(one["id"])
            rows += [row] * len(one["vector"])
            columns += map(int, one["vector"])
            values += one["vector"].values()
    return ids, csr_matrix((np.float32(values), (rows, columns)), shape=(len(ids), 1 << 16))


def cut(path: Path, most: int, to: Path) -> int:
    """Write the documents with their heaviest terms only, and say how many weights are left."""
    left = 0
    with path.open(encoding="utf-8") as stream, to.open("w", encoding="utf-8") as out:
        for line in stream:
            one = json.loads(line)
            heaviest = sorted(one["vector"].items(), key=lambda entry: -entry[1])[:most]
            one["vector"] = dict(heaviest)
            left += len(heaviest)
            out.write(json.dumps(one) + "\n")
    return left


def main(folder: Path, terms: int) -> None:
    documents, weights = read(folder / "documents.jsonl")
    _, queries = read(folder / "queries.jsonl")
    with tempfile.TemporaryDirectory() as aside:
        left = cut(folder / "documents.jsonl", terms, Path(aside) / "documents.jsonl")
        began = time.perf_counter()
        index = seismic.SeismicIndex.build(f"{aside}/documents.jsonl", n_postings=POSTINGS)
        built = time.perf_counter()
    exact = (queries @ weights.T).toarray()
    string, shared, took = seismic.get_seismic_string(), [], 0.0
    for row, query in zip(exact, queries, strict=True):
        names = np.array([str(term) for term in query.indices], dtype=string)
        start = time.perf_counter()
        found = index.search("q", names, query.data, k=10, query_cut=CUT, heap_factor=0.8)
        took += time.perf_counter() - start
        best = {documents[i] for i in np.argsort(-row)[:10]}
        shared.append(len({name for _, _, name in found} & best) / 10)
    print(
        f"{len(documents):,} documents, {left:,} of {weights.nnz:,} weights: built in "
        f"{built - began:.1f} s; {1000 * took / len(shared):.2f} ms a query; "
        f"{np.mean(shared):.3f} of the exact best 10"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200)
