"""The automatic score: 1 where words tell a latent, a half where nothing does."""

from collections import Counter

import numpy as np
import pytest

from trivet.report.latent_look import Look
from trivet.report.latent_scan import Found, Outside, Scan
from trivet.report.latent_told import Window, _matched, scores, told

LOOK = Look(documents=60, reference=80, window=2, least=20)
WORDS = 200


def scanned(*, token=None, near=None, seed=0):
    """60 documents that hold latent 0 at a random place and 80 that do not, words by Zipf's law.

    `token`: what stands in the place; `near`: what stands beside it, where latent 0 is.
    """
    generator = np.random.default_rng(seed)
    chances = 1 / np.arange(1, WORDS + 1)
    ids = {
        row: generator.choice(WORDS, 20, p=chances / chances.sum()).astype(np.int64)
        for row in range(140)
    }
    one = Found()
    for row in range(60):
        place = int(generator.integers(1, 19))
        one.chosen[row] = place
        if token is not None:
            ids[row][place] = token
        if near is not None:
            ids[row][place - 1] = near
    rows = np.repeat(np.arange(60, 140), 20)
    places = np.tile(np.arange(20), 80)
    flat = np.concatenate([ids[row] for row in range(60, 140)])
    latents = np.full((len(flat), 2), -1, dtype=np.int32)
    return Scan(ids, {0: one}, Outside(rows, places, flat, latents), 0.9, 0.1)


def test_a_token_that_tells_a_latent_is_learned():
    found = told(scanned(token=5), 0, LOOK)
    assert found.value > 0.85 and found.low > 0.75


def test_a_neighbour_that_tells_a_latent_is_learned_too():
    assert told(scanned(near=150), 0, LOOK).value > 0.9


def test_where_there_is_nothing_to_tell_the_score_is_a_half():
    """Over many corpora the mean is a half, and the interval holds it as often as it says."""
    found = [told(scanned(seed=seed), 0, LOOK) for seed in range(60)]
    assert np.mean([one.value for one in found]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([one.low <= 0.5 <= one.high for one in found]) >= 0.85


def test_a_frequent_token_alone_earns_nothing():
    """Contexts at the commonest words only are told from random ones that are as common."""
    made = scanned()
    held = made.reference
    for row, place in made.latents[0].chosen.items():
        made.ids[row][place] = row % 4
    rows, places = (list(part) for part in zip(*made.latents[0].chosen.items(), strict=True))
    levels = np.log2(np.maximum(np.bincount(held.ids), 1)).astype(int)
    others = _matched(made, 0, rows, places, LOOK)
    for i, row in enumerate(rows):
        assert levels[held.ids[others[i]]] == levels[made.ids[row][places[i]]]
    assert len(set(others)) == len(others) == 60


def test_random_contexts_come_from_as_many_documents_as_there_are():
    made = scanned()
    rows, places = (list(part) for part in zip(*made.latents[0].chosen.items(), strict=True))
    others = _matched(made, 0, rows, places, LOOK)
    assert max(Counter(made.reference.rows[others].tolist()).values()) <= 4


def test_a_token_that_holds_the_latent_is_no_random_context():
    made = scanned()
    made.reference.latents[made.reference.ids == 0, 1] = 0
    rows, places = (list(part) for part in zip(*made.latents[0].chosen.items(), strict=True))
    assert 0 not in made.reference.ids[_matched(made, 0, rows, places, LOOK)]


def test_values_are_sums_of_logarithms_over_the_token_and_its_neighbours():
    own = [Window(1, frozenset({2, 3})), Window(1, frozenset({2}))]
    random = [Window(4, frozenset({2})), Window(5, frozenset({3}))]
    found = scores(own, random, [Window(1, frozenset({2, 9})), Window(4, frozenset({3}))])
    assert found == pytest.approx([np.log(3) + np.log(3 / 2), -np.log(2)])


def test_too_few_documents_give_no_score():
    made = scanned()
    made.latents[0].chosen = dict(list(made.latents[0].chosen.items())[:19])
    assert told(made, 0, LOOK) is None


def test_random_contexts_of_few_documents_give_no_score():
    made = scanned(token=5)
    made.reference.rows[:] = 60 + np.arange(len(made.reference.rows)) % 19
    assert told(made, 0, LOOK) is None


def test_the_score_is_the_same_every_time_and_the_seed_changes_it():
    made = scanned(seed=3)
    assert told(made, 0, LOOK) == told(made, 0, LOOK)
    assert told(made, 0, LOOK) != told(made, 0, Look(**{**vars(LOOK), "seed": 1}))
