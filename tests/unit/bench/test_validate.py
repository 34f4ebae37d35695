import dataclasses

import numpy as np
import pytest

from trivet.bench.validate import validate
from trivet.core.errors import TrivetError
from trivet.core.records import Ranking

QUERIES = ["q1", "q2"]


def sound():
    rows = np.array([[2, 0, 1], [1, -1, -1]])
    scores = np.array([[2.0, 1.0, 1.0], [0.5, 0.0, 0.0]], dtype=np.float32)
    return Ranking(list(QUERIES), ["b", "a", "c"], rows, scores)


def changed(**parts):
    return dataclasses.replace(sound(), **parts)


def with_first(rows, scores):
    whole = sound()
    whole.rows[0], whole.scores[0] = rows, scores
    return whole


def test_a_sound_ranking_passes():
    validate(sound(), QUERIES)


@pytest.mark.parametrize(
    "ranking, match",
    [
        (changed(queries=["q1"]), "query q2 is missing"),
        (changed(queries=["q2", "q1"]), "not those asked for"),
        (changed(scores=np.zeros((2, 2), dtype=np.float32)), "other shapes"),
        (with_first([2, 2, 1], [2, 2, 1]), "query q1: a document stands twice"),
        (with_first([2, 0, 1], [2, np.nan, 1]), "query q1: a score is not finite"),
        (with_first([2, 0, 1], [np.inf, 1, 1]), "not finite"),
        (with_first([2, 0, 1], [1, 2, 1]), "c and b are out of order"),
        (with_first([2, 1, 0], [2, 1, 1]), "a and b are out of order"),
        (with_first([3, 1, 0], [2, 1, 1]), "names no document"),
    ],
)
def test_a_ranking_that_cannot_be_trusted_is_refused(ranking, match):
    with pytest.raises(TrivetError, match=match):
        validate(ranking, QUERIES)
