"""What a latent is decisive for, against rankings made anew without it."""

import numpy as np
import pytest

from trivet.bench.task import Task
from trivet.report.latent_decisive import Scores
from trivet.report.latent_look import Look

QUERIES = {"q1": "a green field by the deep sea", "q2": "red fox", "q3": "cloud over the hill"}


def brute(made, task, latent):
    """All documents of the first ten that fall without a latent: (query, document, rank, then)."""
    out = []
    for name, text in task.queries.items():
        queries, documents = made.asked([text]), made.documents()
        scores = np.zeros((2, len(task.corpus)))
        for term in np.flatnonzero(queries.frequencies).tolist():
            rows, held = documents[term]
            part = np.zeros(len(task.corpus))
            part[rows] = queries[term][1][0] * held
            scores += part * np.array([[1], [term != latent]])
        names = task.corpus.ids
        first, then = (
            sorted(range(len(names)), key=lambda i, row=row: (row[i], names[i]), reverse=True)
            for row in np.round(scores, 6)
        )
        for row in first[:10]:
            rank, fell = first.index(row) + 1, then.index(row) + 1
            if scores[1, row] < 1e-5 * scores[0, row]:
                fell = int((scores[1] > 1e-5).sum()) + 1
            if fell > rank and scores[0, row] > scores[1, row]:
                out.append((name, names[row], rank, fell, 1 - scores[1, row] / scores[0, row]))
    return sorted(out, key=lambda one: (one[2] - one[3], -one[4], one[0], one[1]))


@pytest.fixture
def searched(latent, texts):
    made = latent(idf="lucene")
    made.index(texts)
    qrels = {name: {f"d{i}": i % 3 for i in range(0, 100, 2)} for name in QUERIES}
    return made, Task("zoo", "test", texts, QUERIES, qrels, "f" * 64)


def test_they_are_the_documents_that_fall_furthest_without_it(searched):
    made, task = searched
    scores = Scores(made, task, Look())
    some = 0
    for latent in np.flatnonzero(made.asked(list(QUERIES.values())).frequencies).tolist():
        wanted = brute(made, task, latent)
        found = scores.decisive(latent, 100)
        assert [(d.query, d.document, d.rank) for d in found] == [w[:3] for w in wanted]
        for one, (*_, fell, share) in zip(found, wanted, strict=True):
            assert (one.without, one.share) == (fell, pytest.approx(share, abs=1e-4))
        some += len(found)
    assert some > 20


def test_the_judges_grade_stands_beside_it(searched):
    made, task = searched
    scores = Scores(made, task, Look())
    found = [one for latent in range(40) for one in scores.decisive(latent, 100)]
    assert any(one.grade for one in found)
    assert all(one.grade == task.qrels[one.query].get(one.document, 0) for one in found)
    assert all(one.asked == QUERIES[one.query] for one in found)


def test_no_query_that_holds_it_makes_it_decisive_for_nothing(searched):
    made, task = searched
    unasked = set(range(40)) - set(np.flatnonzero(made.asked(list(QUERIES.values())).frequencies))
    assert Scores(made, task, Look()).decisive(min(unasked), 5) == []


def test_so_many_queries_are_drawn_by_the_seed(searched):
    made, task = searched
    names = {tuple(Scores(made, task, Look(queries=2, seed=seed)).ids) for seed in range(6)}
    assert len(names) > 1 and all(len(set(pair)) == 2 for pair in names)
