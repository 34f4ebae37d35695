"""Weights of learned terms, written out: read again, and searched by Seismic."""

from __future__ import annotations

import json

import numpy as np
import pytest

from trivet.retrieval.impacts import write_impacts
from trivet.retrieval.postings import Postings


def drawn(texts, terms, share, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.random((texts, terms)).astype(np.float32) * (rng.random((texts, terms)) < share)
    matrix[1] = 0  # a text without any term
    rows, columns = matrix.nonzero()
    return matrix, Postings.of(columns, rows, matrix[rows, columns], terms)


def test_what_is_written_is_the_matrix(tmp_path):
    matrix, postings = drawn(9, 14, 0.3, 0)
    path = tmp_path / "documents.jsonl"
    assert write_impacts(path, [f"d{i}" for i in range(9)], postings) == (matrix > 0).sum()
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines] == [f"d{i}" for i in range(9)]
    for row, line in zip(matrix, lines, strict=True):
        found = np.zeros(14, np.float32)
        for term, weight in line["vector"].items():
            found[int(term)] = weight
        assert (found == row).all()


def test_seismic_finds_what_is_found_here(tmp_path):
    """Its index is approximate; with nothing cut off it misses next to nothing."""
    seismic = pytest.importorskip("seismic")
    documents, postings = drawn(400, 60, 0.2, 0)
    queries, _ = drawn(20, 60, 0.1, 1)
    path = tmp_path / "documents.jsonl"
    write_impacts(path, [str(i) for i in range(400)], postings)
    index = seismic.SeismicIndex.build(str(path), n_postings=400, summary_energy=1.0, doc_cut=60)
    scores, shared = queries @ documents.T, []
    for query, row in zip(queries, scores, strict=True):
        terms = query.nonzero()[0]
        if len(terms) == 0:
            continue
        names = np.array([str(term) for term in terms], dtype=seismic.get_seismic_string())
        found = index.search("q", names, query[terms], k=10, query_cut=60, heap_factor=1.0)
        best = np.argsort(-row)[:10]
        shared.append(len({int(name) for _, _, name in found} & {*best.tolist()}) / 10)
        for _, score, name in found:
            assert score == pytest.approx(float(row[int(name)]), rel=1e-2)  # kept in 16 bits
    assert len(shared) == 19 and np.mean(shared) > 0.95
