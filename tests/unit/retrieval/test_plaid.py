import sys

import numpy as np
import pytest

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.machine import Machine
from trivet.core.records import Corpus
from trivet.models.colbert_layout import save_colbert
from trivet.retrieval.cache import Cache
from trivet.retrieval.plaid import PlaidRetriever
from trivet.retrieval.protocol import Adaptable, Retriever

CPU = Machine(device="cpu")


@pytest.fixture
def made(late, tmp_path):
    save_colbert(late, tmp_path)

    def make(**fields):
        return PlaidRetriever(str(tmp_path), machine=CPU, cache=Cache(use=False), **fields)

    return make


def corpus_of(texts):
    return Corpus([f"d{i}" for i in range(len(texts))], [""] * len(texts), list(texts))


def test_it_ranks_and_says_what_share_of_exact_search_it_found(made, texts):
    pytest.importorskip("pylate.indexes")
    documents = texts(300, 0)
    retriever = made(check=7)
    assert isinstance(retriever, Retriever) and isinstance(retriever, Adaptable)
    retriever.index(corpus_of(documents))
    ids = [f"q{i}" for i in range(9)]
    queries = texts(9, 1)
    found = retriever.search(ids, queries, 20)
    assert found.rows.shape == (9, 20) and (np.diff(found.scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 20 for row in found.rows.tolist())
    facts = retriever.describe()
    assert facts["kind"] == "plaid" and facts["checked_queries"] == 7
    assert 0.5 < facts["recall_of_exact@10"] <= 1
    cut = sum(len(query.split()) > 6 for query in queries)
    assert facts["truncated_query_share"] == round(cut / 9, 6)


def test_without_pylate_it_says_what_to_install(made, texts, monkeypatch):
    monkeypatch.setitem(sys.modules, "pylate", None)
    with pytest.raises(TrivetError, match=r"trivet\[plaid\]"):
        made().index(corpus_of(texts(3, 0)))


@pytest.mark.parametrize("fields", [{"nbits": 3}, {"probes": 0}, {"check": -1}, {"store": "int8"}])
def test_settings_that_make_no_index_are_refused(fields):
    with pytest.raises(ConfigError, match=next(iter(fields))):
        PlaidRetriever("m", **fields)


def test_search_before_index_is_refused():
    with pytest.raises(TrivetError, match="before index"):
        PlaidRetriever("m").search(["q"], ["fox"], 1)
