import numpy as np
import pytest
import torch

from trivet.core.machine import Machine
from trivet.core.maxsim import reference
from trivet.core.records import Corpus
from trivet.models.colbert_layout import save_colbert
from trivet.retrieval.bm25 import Bm25
from trivet.retrieval.colbert_reranker import ColbertReranker
from trivet.retrieval.rerank import Rerank
from trivet.retrieval.rerankers import Reranker

CPU = Machine(device="cpu")


@pytest.fixture
def made(late, tmp_path):
    save_colbert(late, tmp_path)
    return ColbertReranker(str(tmp_path), machine=CPU)


@torch.no_grad()
def alone(model, query, document):
    bags = (
        model(model.tokenizer([t], s).ids, s) for t, s in ((query, "query"), (document, "document"))
    )
    return float(reference(*bags)[0, 0])


def test_scores_are_those_of_each_pair_alone(made, late, texts):
    assert isinstance(made, Reranker)
    queries, documents = texts(5, 0), texts(12, 1)
    pairs = [(q, d) for i, q in enumerate(queries) for d in documents[i : i + 7]]
    pairs.append(pairs[3])  # a pair may stand twice
    found = made.score(pairs)
    assert found.dtype == np.float32
    expected = [alone(late, query, document) for query, document in pairs]
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_no_pairs_are_no_scores(made):
    assert made.score([]).shape == (0,)


def test_it_reranks_what_bm25_finds_and_tells_of_both(made, texts):
    documents = texts(30, 2)
    retriever = Rerank(Bm25(), made, depth=5)
    retriever.adapt({"query": 4}, {})
    corpus = Corpus([f"d{i}" for i in range(30)], [""] * 30, documents)
    retriever.index(corpus)
    found = retriever.search(["q"], ["fox hill"], 5)
    first = Bm25()
    first.index(corpus)
    assert set(found.rows[0]) == set(first.search(["q"], ["fox hill"], 5).rows[0])
    assert (np.diff(found.scores[0]) <= 0).all()
    facts = retriever.describe()
    assert facts["kind"] == "rerank" and facts["model_key"] is not None
    part = facts["parts"]["reranker"]
    assert part["lengths"]["query"] == 4 and part["truncated_query_share"] == 0
