import json
import math

import numpy as np
import pytest

from trivet.bench.evaluate import evaluate
from trivet.bench.folder import Folder
from trivet.core.errors import ConfigError, TrivetError
from trivet.core.records import Corpus
from trivet.retrieval.bm25 import Bm25
from trivet.retrieval.protocol import Retriever

METHODS = ["lucene", "robertson", "atire", "bm25+", "bm25l"]


def corpus_of(texts, ids=None):
    return Corpus(ids or [f"d{i}" for i in range(len(texts))], [""] * len(texts), list(texts))


def found(retriever, *queries, k=10):
    ranking = retriever.search([f"q{i}" for i in range(len(queries))], list(queries), k)
    return [[document for document, _ in ranking.of(i)] for i in range(len(queries))]


def lucene(query, documents, k1=0.9, b=0.4):
    """BM25 as Lucene computes it, from its definition."""
    words = [text.split() for text in documents]
    mean = sum(map(len, words)) / len(words)
    out = []
    for text in words:
        score = 0.0
        for term in query.split():
            df = sum(term in other for other in words)
            tf = text.count(term)
            idf = math.log(1 + (len(words) - df + 0.5) / (df + 0.5))
            score += idf * tf / (tf + k1 * (1 - b + b * len(text) / mean))
        out.append(score)
    return out


def random_texts(count, seed, low=1, high=9):
    rng = np.random.default_rng(seed)
    words = [f"w{i}x" for i in range(12)]
    return [" ".join(rng.choice(words, rng.integers(low, high))) for _ in range(count)]


def test_scores_are_those_of_the_formula():
    texts, queries = random_texts(25, 0), random_texts(10, 1, 1, 4)
    retriever = Bm25(stemmer=None, stop_words=None)
    retriever.index(corpus_of(texts))
    ranking = retriever.search([str(i) for i in range(10)], queries, 25)
    for i, query in enumerate(queries):
        want = {f"d{j}": score for j, score in enumerate(lucene(query, texts)) if score > 0}
        assert dict(ranking.of(i)) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_document_is_found_exactly_when_it_shares_a_term(method):
    texts, queries = random_texts(25, 2, 1, 5), random_texts(10, 3, 1, 4)
    retriever = Bm25(method=method, stemmer=None, stop_words=None)
    retriever.index(corpus_of(texts))
    for query, documents in zip(queries, found(retriever, *queries, k=25), strict=True):
        shared = {f"d{i}" for i, text in enumerate(texts) if {*text.split()} & {*query.split()}}
        assert set(documents) == shared


def test_equal_documents_tie_and_the_larger_id_wins_across_the_cut():
    retriever = Bm25()
    retriever.index(corpus_of(["red fox"] * 5, ids=["9", "10", "2", "30", "1"]))
    assert found(retriever, "fox", k=3) == [["9", "30", "2"]]


def test_the_memory_bound_does_not_change_a_ranking():
    texts, queries = random_texts(30, 4), random_texts(20, 5, 1, 4)
    rankings = []
    for chunk in (1, 100, 1 << 20):
        retriever = Bm25(chunk=chunk)
        retriever.index(corpus_of(texts))
        rankings.append(retriever.search([str(i) for i in range(20)], queries, 7))
    for other in rankings[1:]:
        assert other.rows.tobytes() == rankings[0].rows.tobytes()
        assert other.scores.tobytes() == rankings[0].scores.tobytes()


def test_a_query_without_a_known_term_finds_nothing():
    retriever = Bm25()
    retriever.index(corpus_of(["red fox", "blue whale", ""]))
    assert found(retriever, "zebra", "the of and", "?!", "fox") == [[], [], [], ["d0"]]


def test_a_corpus_without_a_term_answers_every_query_with_nothing():
    retriever = Bm25()
    retriever.index(corpus_of(["", "the of", "?"]))
    assert found(retriever, "fox", "the") == [[], []]


def test_stemming_and_stop_words_can_be_left_out():
    texts = ["the foxes", "running"]
    plain, stemmed = Bm25(stemmer=None, stop_words=None), Bm25()
    for retriever in (plain, stemmed):
        retriever.index(corpus_of(texts))
    assert found(stemmed, "fox", "the", "runs") == [["d0"], [], ["d1"]]
    assert found(plain, "fox", "the", "runs") == [[], ["d0"], []]


def test_titles_are_searched():
    retriever = Bm25()
    retriever.index(Corpus(["a", "b"], ["whales", ""], ["deep sea", "high hills"]))
    assert found(retriever, "whale") == [["a"]]


def test_a_second_corpus_takes_the_place_of_the_first():
    retriever = Bm25()
    retriever.index(corpus_of(["red fox"], ids=["old"]))
    retriever.index(corpus_of(["?"], ids=["new"]))
    assert found(retriever, "fox") == [[]]


def test_it_is_a_retriever_that_describes_itself():
    retriever = Bm25(k1=1.2, stop_words=None)
    assert isinstance(retriever, Retriever)
    facts = json.loads(json.dumps(retriever.describe()))
    assert (facts["kind"], facts["k1"], facts["stop_words"]) == ("bm25", 1.2, None)


@pytest.mark.parametrize(
    "fields, match",
    [
        ({"k1": -1.0}, "k1"),
        ({"b": 1.5}, "b"),
        ({"stemmer": "klingon"}, "no stemmer klingon"),
        ({"stop_words": "klingon"}, "no stop words klingon"),
        ({"chunk": 0}, "chunk"),
    ],
)
def test_settings_that_make_no_formula_are_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        Bm25(**fields)


def test_search_before_index_and_an_empty_corpus_are_refused():
    with pytest.raises(TrivetError, match="before index"):
        Bm25().search(["q"], ["fox"], 1)
    with pytest.raises(TrivetError, match="empty"):
        Bm25().index(corpus_of([]))


def likes(count):
    """LIMIT's kind of task in small: who likes what; two people answer each query."""
    things = [f"thing{i}ish" for i in range(count)]
    people = {f"p{i}": f"Likes {things[i]}, {things[(i + 1) % count]}." for i in range(count)}
    queries = {f"q{i}": f"Who likes {thing}?" for i, thing in enumerate(things)}
    qrels = {f"q{i}": {f"p{i}": 1, f"p{(i - 1) % count}": 1} for i in range(count)}
    return people, queries, qrels


def test_words_that_only_the_answers_hold_are_found_wholly(tmp_path):
    people, queries, qrels = likes(20)
    for stem, texts in (("corpus", people), ("queries", queries)):
        lines = [json.dumps({"_id": i, "text": text}) for i, text in texts.items()]
        (tmp_path / f"{stem}.jsonl").write_text("\n".join(lines))
    (tmp_path / "qrels").mkdir()
    lines = [f"{q}\t{d}\t{g}" for q, grades in qrels.items() for d, g in grades.items()]
    (tmp_path / "qrels" / "test.tsv").write_text("\n".join(lines))
    result = evaluate(Folder(str(tmp_path)).load(), Bm25(), k=10, metrics=["recall@2", "ndcg@10"])
    assert result.metrics == {"recall@2": 1.0, "ndcg@10": pytest.approx(1.0)}


@pytest.mark.shared
def test_scifact_is_where_the_literature_has_it(shared):
    task = Folder(str(shared / "data" / "bench" / "scifact")).load()
    result = evaluate(task, Bm25(), k=100, metrics=["ndcg@10"])
    assert 0.67 <= result.metrics["ndcg@10"] <= 0.69


@pytest.mark.shared
def test_limit_small_is_easy_for_words(shared):
    task = Folder(str(shared / "data" / "bench" / "limit" / "small")).load()
    result = evaluate(task, Bm25(), k=10, metrics=["recall@2"])
    assert result.metrics["recall@2"] == pytest.approx(0.978, abs=0.003)
