import json
import math

import numpy as np
import pytest

from trivet.bench.ledger import RETRIEVER
from trivet.core.errors import ConfigError, DataError, TrivetError
from trivet.core.records import Corpus
from trivet.retrieval.bmx import Bmx
from trivet.retrieval.protocol import Retriever

PLAIN = {"stemmer": None, "stop_words": None}


def corpus_of(texts, ids=None):
    return Corpus(ids or [f"d{i}" for i in range(len(texts))], [""] * len(texts), list(texts))


def searched(texts, queries, k=100, **fields):
    retriever = Bmx(**fields)
    retriever.index(corpus_of(texts))
    ranking = retriever.search([f"q{i}" for i in range(len(queries))], list(queries), k)
    return [dict(ranking.of(i)) for i in range(len(queries))]


def random_texts(count, seed, low=1, high=9):
    rng = np.random.default_rng(seed)
    words = [f"w{i}x" for i in range(12)]
    return [" ".join(rng.choice(words, rng.integers(low, high))) for _ in range(count)]


def formula(weighted, documents, alpha=None, beta=None):
    """BMX from its definition, a word of the query at a time; only documents that share one."""
    documents = [text.split() for text in documents]
    size, mean = len(documents), sum(map(len, documents)) / len(documents)
    alpha = max(min(1.5, mean / 100), 0.5) if alpha is None else alpha
    beta = 1 / math.log(1 + size) if beta is None else beta
    known = [(w, weight) for w, weight in weighted if any(w in text for text in documents)]

    def entropy(word):
        ps = [1 / (1 + math.exp(-text.count(word))) for text in documents if word in text]
        return -sum(p * math.log(p) for p in ps)

    raw = [entropy(word) for word, _ in known]
    relative = [e / max(raw) for e in raw]
    out = {}
    for i, text in enumerate(documents):
        covered = sum(word in text for word, _ in known) / max(1, len(known))
        for (word, weight), e in zip(known, relative, strict=True):
            if word not in text:
                continue
            n, f = sum(word in other for other in documents), text.count(word)
            idf = math.log(1 + (size - n + 0.5) / (n + 0.5))
            below = f + alpha * len(text) / mean + alpha * sum(relative) / len(relative)
            score = weight * (idf * f * (alpha + 1) / below + beta * e * covered)
            out[f"d{i}"] = out.get(f"d{i}", 0) + score
    return out


@pytest.mark.parametrize("fields", [{}, {"alpha": 1.1, "beta": 0.2}, {"alpha": 0.0, "beta": 0.0}])
@pytest.mark.parametrize("high", [9, 400])
def test_scores_are_those_of_the_formula(fields, high):
    texts, queries = random_texts(25, 0, high=high), [*random_texts(10, 1, 1, 6), "w1x unknown w1x"]
    found = searched(texts, queries, **PLAIN, **fields)
    for query, scores in zip(queries, found, strict=True):
        want = formula([(word, 1.0) for word in query.split()], texts, **fields)
        assert scores == pytest.approx(want, rel=1e-5)


def test_augmented_queries_are_one_weighted_pass_with_the_query(tmp_path):
    texts, queries = random_texts(25, 2), random_texts(6, 3, 1, 4)
    more = {f"q{i}": random_texts(3, 10 + i, 1, 5) for i in range(5)}  # none for q5
    path = tmp_path / "more.jsonl"
    names = ["query-id", "_id"]
    lines = [json.dumps({names[i % 2]: q, "augmented": more[q]}) for i, q in enumerate(more)]
    path.write_text("\n".join(lines))
    fields = {"augmented": str(path), "weight": 0.4, "augmentations": 2, **PLAIN}
    for i, scores in enumerate(searched(texts, queries, **fields)):
        weighted = [(word, 1.0) for word in queries[i].split()]
        for text in more.get(f"q{i}", [])[:2]:
            weighted += [(word, 0.4) for word in text.split()]
        assert scores == pytest.approx(formula(weighted, texts), rel=1e-5)


def test_an_augmented_query_finds_what_the_query_cannot(tmp_path):
    path = tmp_path / "more.jsonl"
    path.write_text(json.dumps({"_id": "q0", "augmented": ["whale"]}))
    texts = ["red fox", "blue whale", "green hill"]
    assert [*searched(texts, ["fox"])[0]] == ["d0"]
    assert [*searched(texts, ["fox"], augmented=str(path))[0]] == ["d0", "d1"]


@pytest.mark.parametrize(
    "line, match",
    [
        ('{"_id": "other", "augmented": []}', "holds none of the queries' ids, such as q0"),
        ('{"_id": "q0", "augmented": "a"}', "more.jsonl:1: augmented is not a list of texts"),
        ('{"augmented": []}', "no column _id"),
        ('{"_id": "q0", "augmented": []}\n{"_id": "q0", "augmented": []}', "a second row"),
    ],
)
def test_a_file_of_augmented_queries_that_does_not_fit_is_named(line, match, tmp_path):
    path = tmp_path / "more.jsonl"
    path.write_text(line)
    with pytest.raises(DataError, match=match):
        searched(["red fox"], ["fox"], augmented=str(path))


def test_a_document_is_found_exactly_when_it_shares_a_term():
    texts, queries = random_texts(25, 4, 1, 5), random_texts(10, 5, 1, 4)
    for query, scores in zip(queries, searched(texts, queries, **PLAIN), strict=True):
        shared = {f"d{i}" for i, text in enumerate(texts) if {*text.split()} & {*query.split()}}
        assert {*scores} == shared


def test_equal_documents_tie_and_the_larger_id_wins_across_the_cut():
    retriever = Bmx()
    retriever.index(corpus_of(["red fox"] * 5, ids=["9", "10", "2", "30", "1"]))
    assert [name for name, _ in retriever.search(["q"], ["fox"], 3).of(0)] == ["9", "30", "2"]


def test_the_memory_bound_does_not_change_a_ranking():
    texts, queries = random_texts(30, 6), random_texts(20, 7, 1, 4)
    rankings = []
    for chunk in (1, 100, 1 << 20):
        retriever = Bmx(chunk=chunk)
        retriever.index(corpus_of(texts))
        rankings.append(retriever.search([str(i) for i in range(20)], queries, 7))
    for other in rankings[1:]:
        assert other.rows.tobytes() == rankings[0].rows.tobytes()
        assert other.scores.tobytes() == rankings[0].scores.tobytes()


def test_queries_and_corpora_without_a_known_term_find_nothing():
    assert searched(["red fox", ""], ["zebra", "the of and", "?!"]) == [{}, {}, {}]
    assert searched(["", "the of", "?"], ["fox", "the"]) == [{}, {}]


def test_a_term_repeated_a_thousand_times_still_has_a_score():
    (scores,) = searched(["fox " * 1000, "hill"], ["fox"])
    assert scores["d0"] > 0


def test_titles_are_searched():
    retriever = Bmx()
    retriever.index(Corpus(["a", "b"], ["whales", ""], ["deep sea", "high hills"]))
    assert [name for name, _ in retriever.search(["q"], ["whale"], 5).of(0)] == ["a"]


def test_it_is_a_retriever_whose_facts_fit_a_ledger_row():
    retriever = Bmx(beta=0.5)
    assert isinstance(retriever, Retriever)
    assert retriever.describe()["alpha"] is None
    retriever.index(corpus_of(["red fox"]))
    facts = json.loads(json.dumps(retriever.describe()))
    assert all(type(facts[name]) in kinds for name, kinds in RETRIEVER.items())
    assert (facts["kind"], facts["alpha"], facts["beta"], facts["trained_on"]) == (
        "bmx", 0.5, 0.5, [])  # fmt: skip


def test_augmented_queries_show_in_the_facts_and_change_the_key(tmp_path):
    keys = []
    for text in ("whale", "hill"):
        path = tmp_path / "more.jsonl"
        path.write_text(json.dumps({"_id": "q", "augmented": [text]}))
        retriever = Bmx(augmented=str(path))
        retriever.index(corpus_of(["red fox"]))
        retriever.search(["q"], ["fox"], 1)
        facts = retriever.describe()
        assert (facts["augmented_queries"], facts["trained_on"]) == (1, None)
        keys.append(facts["model_key"])
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    "fields, match",
    [
        ({"alpha": -1.0}, "alpha"),
        ({"beta": -0.1}, "beta"),
        ({"chunk": 0}, "chunk"),
        ({"weight": 0.0}, "weight"),
        ({"augmentations": 0}, "augmentations"),
        ({"stemmer": "klingon"}, "no stemmer klingon"),
        ({"endpoint": "http://x"}, "go together"),
        ({"endpoint_model": "x"}, "go together"),
        ({"api_key_env": "X"}, "a key without"),
        ({"augmented": "a", "endpoint": "http://x", "endpoint_model": "m"}, "give one of"),
    ],
)
def test_settings_that_make_no_formula_are_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        Bmx(**fields)


def test_search_before_index_and_an_empty_corpus_are_refused():
    with pytest.raises(TrivetError, match="before index"):
        Bmx().search(["q"], ["fox"], 1)
    with pytest.raises(TrivetError, match="empty"):
        Bmx().index(corpus_of([]))


@pytest.mark.shared
def test_scifact_is_where_it_was_measured(shared):
    from trivet.bench.evaluate import evaluate
    from trivet.bench.folder import Folder

    task = Folder(str(shared / "data" / "bench" / "scifact")).load()
    result = evaluate(task, Bmx(), k=100, metrics=["ndcg@10"])
    assert result.metrics["ndcg@10"] == pytest.approx(0.693, abs=0.002)
