"""One row's negatives, against the rules spelled out again and by brute force."""

from collections import Counter

import numpy as np
import pytest

from trivet.mining.choose import RANDOM, Row, Rules, choose, slots, tally
from trivet.mining.documents import containment

WORDS = [f"w{i}" for i in range(40)]
SHARES = {"dense": 0.35, "bm25": 0.35, RANDOM: 0.30}


def rules(**given):
    plain = {"number": 7, "shares": SHARES, "pool": 5, "threshold": 0.95}
    plain |= {"shingle": 2, "duplicate": 0.5, "short": "random", "seed": 0}
    return Rules(**{**plain, **given})


def drawn(seed, documents=60):
    """A row with random candidates, scores and texts of few words, so that many are alike."""
    draw = np.random.default_rng(seed)
    texts = [" ".join(draw.choice(WORDS[:4], draw.integers(1, 6))) for _ in range(documents)]
    row = Row(
        number=seed,
        positive=0,
        answers={0, 1},
        itself=2,
        found={name: draw.permutation(documents)[:25].tolist() for name in ("dense", "bm25")},
        drawn=draw.permutation(documents).tolist(),
        scores=dict(enumerate(draw.random(documents).tolist())),
    )
    return row, texts


def allowed(document, row, texts, given):
    alike = any(
        containment(texts[document], texts[a], given.shingle) >= given.duplicate
        for a in row.answers
    )
    low = row.scores[document] < given.threshold * row.scores[row.positive]
    return document not in {*row.answers, row.itself} and not alike and low


@pytest.mark.parametrize("seed", range(60))
def test_nothing_forbidden_is_chosen_and_nothing_allowed_is_dropped(seed):
    row, texts = drawn(seed)
    chosen = choose(row, rules(), texts)
    assert all(allowed(document, row, texts, rules()) for document, _ in chosen.negatives)
    assert not any(allowed(document, row, texts, rules()) for document, _, _ in chosen.dropped)
    for name in row.found:
        bad = [
            document for document in row.found[name] if not allowed(document, row, texts, rules())
        ]
        assert [document for document, miner, _ in chosen.dropped if miner == name] == bad


@pytest.mark.parametrize("seed", range(60))
def test_negatives_are_distinct_of_the_number_and_from_the_miner_they_name(seed):
    row, texts = drawn(seed)
    chosen = choose(row, rules(), texts)
    documents = [document for document, _ in chosen.negatives]
    assert len(documents) == len(set(documents)) and len(documents) in (0, 7)
    assert all(
        miner == RANDOM or document in row.found[miner] for document, miner in chosen.negatives
    )


def test_a_row_is_left_out_only_when_the_allowed_are_too_few():
    for seed in range(60):
        row, texts = drawn(seed)
        enough = sum(allowed(document, row, texts, rules()) for document in range(60)) >= 7
        assert bool(choose(row, rules(), texts).negatives) == enough


def test_the_threshold_is_exact():
    row = Row(0, 0, {0}, None, {"dense": [1, 2, 3]}, [], {0: 0.8, 1: 0.76, 2: 0.7599, 3: 0.77})
    given = rules(number=1, shares={"dense": 1.0, RANDOM: 0.0}, pool=9, threshold=0.95)
    texts = ["a b", "c d", "e f", "g h"]
    assert row.scores[1] == 0.95 * row.scores[0]
    chosen = choose(row, given, texts)
    assert chosen.negatives == [(2, "dense")]
    assert chosen.dropped == [(1, "dense", "above threshold"), (3, "dense", "above threshold")]


def test_the_threshold_lies_below_a_positive_that_scores_below_zero():
    row = Row(0, 0, {0}, None, {"dense": [1, 2, 3]}, [], {0: -0.1, 1: -0.097, 2: -0.104, 3: -0.106})
    given = rules(number=1, shares={"dense": 1.0, RANDOM: 0.0}, pool=9, threshold=0.95)
    assert choose(row, given, ["a b", "c d", "e f", "g h"]).negatives == [(3, "dense")]


@pytest.mark.parametrize("number", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("shares", [(0.35, 0.35, 0.3), (1, 0, 0), (0, 0, 1), (0.1, 0.2, 0.7)])
def test_each_row_has_its_number_and_all_rows_have_the_shares(number, shares):
    given = rules(number=number, shares=dict(zip(SHARES, shares, strict=True)))
    found = [slots(given, row) for row in range(1000)]
    assert all(sum(counts.values()) == number for counts in found)
    for name, share in given.shares.items():
        assert all(abs(counts[name] - share * number) < 1 for counts in found)
        total = sum(counts[name] for counts in found)
        assert total == pytest.approx(1000 * number * share, abs=5)


def test_where_candidates_suffice_nothing_is_filled_and_the_shares_are_met():
    texts = [f"only {i} here" for i in range(100)]
    counts = Counter()
    for number in range(1000):
        found = {"dense": list(range(1, 40)), "bm25": list(range(30, 70))}
        chosen = choose(Row(number, 0, {0}, None, found, list(range(99, 0, -1))), rules(), texts)
        assert chosen.filled == 0
        counts.update(miner for _, miner in chosen.negatives)
    for name, share in SHARES.items():
        assert counts[name] / 7000 == pytest.approx(share, abs=0.001)


def test_a_pool_of_nothing_takes_the_best_and_a_pool_is_drawn_from_evenly():
    texts = [f"only {i} here" for i in range(100)]
    given = {"number": 2, "shares": {"dense": 1.0, RANDOM: 0.0}}
    counts = Counter()
    for number in range(2000):
        row = Row(number, 0, {0}, None, {"dense": list(range(1, 50))}, [])
        assert choose(row, rules(pool=0, **given), texts).negatives == [(1, "dense"), (2, "dense")]
        counts.update(
            document for document, _ in choose(row, rules(pool=5, **given), texts).negatives
        )
    assert counts.keys() == {1, 2, 3, 4, 5}
    assert all(abs(count - 800) < 100 for count in counts.values())


def test_a_short_row_is_dropped_or_filled_at_random_and_counted():
    texts = [f"only {i} here" for i in range(20)]
    row = Row(0, 0, {0}, None, {"dense": [0, 1], "bm25": [1, 2]}, [0, 5, 6, 1, 7, 8, 9, 10])
    assert choose(row, rules(short="drop"), texts).negatives == []
    filled = choose(row, rules(short="random"), texts)
    assert {document for document, miner in filled.negatives if miner == RANDOM} <= {
        5,
        6,
        7,
        8,
        9,
        10,
    }
    lacking = sum(slots(rules(), 0)[name] for name in ("dense", "bm25")) - 2
    assert filled.filled == lacking > 0 and len(filled.negatives) == 7
    counts = tally(row, filled, 0.02)
    assert (counts["rows/short"], counts["rows/written"], counts["filled"]) == (1, 1, lacking)
    assert counts["dropped/dense/known positive"] == 1


def test_the_choice_does_not_depend_on_other_rows_but_on_the_seed():
    row, texts = drawn(3)
    first = choose(row, rules(), texts)
    choose(drawn(4)[0], rules(), drawn(4)[1])
    assert choose(row, rules(), texts) == first
    others = [choose(row, rules(seed=seed), texts).negatives for seed in range(1, 6)]
    assert any(other != first.negatives for other in others)


def test_every_score_is_counted_in_its_bin():
    row, texts = drawn(5)
    chosen = choose(row, rules(), texts)
    counts = tally(row, chosen, 0.1)
    for name, documents in (
        ("positive", [0]),
        ("kept", [document for document, _ in chosen.negatives]),
        ("dropped", [document for document, _, _ in chosen.dropped]),
    ):
        expected = Counter(int(np.floor(row.scores[document] / 0.1)) for document in documents)
        found = {k: v for k, v in counts.items() if k.startswith(f"scores/{name}/")}
        assert found == {f"scores/{name}/{place}": count for place, count in expected.items()}
