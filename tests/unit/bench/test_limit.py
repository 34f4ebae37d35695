import collections
import itertools
import re

import bm25s
import pytest
import Stemmer

from trivet.bench.draws import words
from trivet.bench.evaluate import evaluate
from trivet.bench.limit import Limit
from trivet.bench.source import TaskSource
from trivet.core.errors import ConfigError
from trivet.core.places import asset
from trivet.retrieval.bm25 import Bm25

SMALL = {"documents": 300, "queries": 60, "items": 12}


def terms(texts):
    """The words that BM25 sees, by its default stemmer and stop words."""
    stemmer = Stemmer.Stemmer("english")
    found = bm25s.tokenize(
        texts, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False
    )
    return [frozenset(item) for item in found]


def likes(task):
    """Who likes what, read back from the texts."""
    out = {}
    for person, text in zip(task.corpus.ids, task.corpus.texts, strict=True):
        listed = re.fullmatch(re.escape(person) + r" likes (.*)\.", text)
        out[person] = re.split(r", | and (?!squeak|seek)", listed[1])
    return out


def asked(task):
    return {query: text[len("Who likes ") : -1] for query, text in task.queries.items()}


def test_no_item_has_all_the_terms_of_another():
    texts = words("limit/items.txt")
    items = terms(texts)
    having = collections.defaultdict(set)
    for i, item in enumerate(items):
        for term in item:
            having[term].add(i)
    assert all(items)
    for i, item in enumerate(items):
        assert set.intersection(*(having[term] for term in item)) == {i}, words("limit/items.txt")[
            i
        ]


def test_no_name_has_a_term_of_an_item_and_no_word_stands_twice():
    lists = [words(f"limit/{name}.txt") for name in ("items", "first_names", "last_names")]
    assert all(len(set(found)) == len(found) for found in lists)
    assert len(lists[0]) >= 1_850 and len(lists[1]) * len(lists[2]) > 50_000
    in_items = frozenset().union(*terms(lists[0]))
    assert not in_items & frozenset().union(*terms(lists[1] + lists[2]))


def test_the_word_lists_are_small():
    assert sum(path.stat().st_size for path in asset("limit").iterdir()) < 60_000


@pytest.mark.parametrize("pattern", ["dense", "random", "cycle", "disjoint"])
def test_the_relevant_documents_are_those_that_list_what_is_asked(pattern):
    task = Limit(pattern=pattern, **SMALL).load()
    liked = likes(task)
    assert len(task.corpus) == len(liked) == 300
    for query, thing in asked(task).items():
        found = {person for person, things in liked.items() if thing in things}
        assert found == task.qrels[query].keys() and len(found) == 2
    assert len({frozenset(grades) for grades in task.qrels.values()}) == 60
    assert all(len(set(things)) == len(things) == 12 for things in liked.values())


def test_every_query_asks_for_another_thing():
    assert len(set(asked(Limit(**SMALL).load()).values())) == 60


def test_dense_takes_the_first_combinations_of_the_fewest_people():
    task = Limit(documents=300, queries=60, relevant=3, items=45).load()
    want = list(itertools.combinations(task.corpus.ids[:9], 3))[:60]  # C(8, 3) = 56 < 60
    assert [tuple(task.qrels[f"query_{i}"]) for i in range(60)] == want


def test_the_published_numbers_need_46_people_of_whom_37_are_asked_for_whole():
    task = Limit(documents=100).load()
    degrees = collections.Counter(d for grades in task.qrels.values() for d in grades)
    assert sorted(collections.Counter(degrees.values()).items()) == [(37, 7), (38, 2), (45, 37)]
    assert len(degrees) == 46 and len(task.queries) == 1_000


def test_cycle_and_disjoint_share_what_their_names_say():
    ring = Limit(pattern="cycle", **SMALL).load()
    assert tuple(ring.qrels["query_59"]) == (ring.corpus.ids[59], ring.corpus.ids[0])
    apart = Limit(pattern="disjoint", **SMALL).load()
    assert len({d for grades in apart.qrels.values() for d in grades}) == 120


def test_documents_that_answer_nothing_hold_nothing_that_is_asked():
    task = Limit(**SMALL).load()
    relevant = {document for grades in task.qrels.values() for document in grades}
    things = set(asked(task).values())
    others = [liked for person, liked in likes(task).items() if person not in relevant]
    assert len(others) == 300 - 12 and not any(things & set(liked) for liked in others)


def test_what_is_asked_stands_anywhere_in_a_document():
    task = Limit(documents=100, queries=100, pattern="disjoint", relevant=1, items=10).load()
    liked, things = likes(task), asked(task)
    places = [liked[d].index(things[q]) for q, grades in task.qrels.items() for d in grades]
    assert set(places) == set(range(10)) and 3.5 < sum(places) / 100 < 5.5


@pytest.mark.parametrize(
    "fields",
    [
        {"pattern": "random", "documents": 13, "queries": 60, "items": 30},
        {"pattern": "cycle", "documents": 5, "queries": 3, "relevant": 4},
    ],
)
def test_in_a_narrow_place_queries_still_have_answers_of_their_own(fields):
    qrels = Limit(**fields).load().qrels
    assert {len(grades) for grades in qrels.values()} == {fields.get("relevant", 2)}
    assert len({frozenset(grades) for grades in qrels.values()}) == fields["queries"]


def test_one_seed_makes_one_task_and_another_seed_another():
    first, again, other = (Limit(seed=seed, **SMALL) for seed in (0, 0, 1))
    assert first.load() == again.load()
    assert first.load().fingerprint != other.load().fingerprint
    assert first.fingerprint() == again.fingerprint()


@pytest.mark.parametrize(
    "field, value",
    [
        ("documents", 301),
        ("queries", 59),
        ("relevant", 1),
        ("pattern", "cycle"),
        ("items", 13),
        ("seed", 1),
        ("name", "x"),
    ],
)
def test_the_fingerprint_changes_with_every_field(field, value):
    assert Limit(**SMALL).fingerprint() != Limit(**SMALL | {field: value}).fingerprint()


def test_the_texts_of_a_seed_are_what_they_were():
    # Change this with _VERSION in limit.py, and with it only.
    task = Limit(documents=50, queries=20, items=8, seed=7).load()
    assert task.fingerprint == "d079d46a86d19e2991ab8c6694fc585aba7747eab69fa23b76b6f3488a500818"


@pytest.mark.parametrize(
    "fields, match",
    [
        ({"documents": 11}, "documents: the pattern dense needs 12 documents"),
        ({"pattern": "disjoint", "documents": 100}, "needs 120 documents"),
        ({"items": 10}, "items: one document answers 11 queries, items is 10"),
        ({"queries": 5_000}, "queries: 0 things are left"),
        ({"relevant": 0}, "relevant: must be at least 1"),
    ],
)
def test_numbers_that_make_no_task_are_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        Limit(**SMALL | fields)


def test_bm25_solves_a_small_one():
    limit = Limit(documents=500, queries=100)
    assert isinstance(limit, TaskSource)
    found = evaluate(limit.load(), Bm25(), k=100, metrics=["recall@2", "recall@100"])
    assert found.metrics["recall@2"] > 0.9 and found.metrics["recall@100"] > 0.95
