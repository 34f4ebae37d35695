"""What is read of latents, against the same counted by hand."""

import numpy as np
import pytest

from trivet.core.errors import ConfigError, DataError
from trivet.report.latent_look import Look, drawn, sample
from trivet.report.latent_reading import readings
from trivet.report.latent_scan import scan

LOOK = Look(documents=30, reference=40, window=2, least=8)


@pytest.fixture(scope="module")
def everything(latent_folder, texts):
    """A retriever that has indexed, and every text as the model reads it."""
    from trivet.core.machine import Machine
    from trivet.retrieval.cache import Cache
    from trivet.retrieval.latent import Latent

    made = Latent(latent_folder, machine=Machine("cpu"), cache=Cache(use=False))
    made.index(texts)
    contents = texts.contents()
    return made, contents, {one.row: one for one in readings(made.load(), contents, range(100))}


@pytest.fixture(scope="module")
def some(everything):
    """Three latents that stand in some documents and not in all."""
    frequencies = everything[0].documents().frequencies
    return np.flatnonzero((frequencies > 30) & (frequencies < 90))[:3].tolist()


def held(read, latent):
    """The tokens of a text that hold a latent, and how strongly."""
    places, columns = np.nonzero((read.latents == latent) & (read.weights > 0))
    return dict(zip(places.tolist(), read.weights[places, columns].tolist(), strict=True))


def test_every_token_of_the_sampled_documents_is_found_and_one_is_chosen(everything):
    made, contents, reads = everything
    latents = drawn(made.documents(), None, 0)
    found = scan(made.load(), contents, sample(made.documents(), 100, latents, LOOK), LOOK)
    for latent in latents:
        one = found.latents[latent]
        rows = set(one.chosen)
        assert len(rows) == min(30, int(made.documents().frequencies[latent]))
        wanted = {(row, at): w for row in rows for at, w in held(reads[row], latent).items()}
        entries = zip(one.rows, one.places, one.weights, strict=True)
        assert {(r, p): pytest.approx(w, rel=1e-5) for r, p, w in entries} == wanted
        assert all((row, at) in wanted for row, at in one.chosen.items())


def test_a_likeness_is_the_mean_cosine_of_pairs_of_its_tokens(everything, some):
    made, contents, reads = everything
    found = scan(made.load(), contents, sample(made.documents(), 100, some, LOOK), LOOK)
    for latent in some:
        states = np.array([reads[r].hidden[at] for r, at in found.latents[latent].chosen.items()])
        units = states / np.linalg.norm(states, axis=1, keepdims=True)
        cosines = (units @ units.T)[np.triu_indices(len(units), 1)]
        assert found.latents[latent].likeness == pytest.approx(cosines.mean(), abs=1e-5)


def test_the_scale_runs_from_one_word_in_two_documents_to_any_two_tokens(everything, some):
    """Over many seeds it is near the mean over all pairs there are."""
    made, contents, reads = everything
    wide = {"documents": 30, "reference": 99, "window": 2, "least": 8}
    scans = [
        scan(made.load(), contents, sample(made.documents(), 100, some, Look(**wide, seed=i)),
             Look(**wide, seed=i))
        for i in range(8)
    ]  # fmt: skip
    tokens = [(r, int(t), h / np.linalg.norm(h)) for r in range(99)
              for t, h in zip(reads[r].ids, reads[r].hidden, strict=True)]  # fmt: skip
    by_word = {}
    for row, token, state in tokens:
        by_word.setdefault(token, []).append((row, state))
    same = [
        np.mean([a @ b for r, a in found for q, b in found if r != q])
        for found in by_word.values()
        if len({r for r, _ in found}) > 1
    ]
    means = np.array([np.mean([s for q, _, s in tokens if q == r], axis=0) for r in range(99)])
    cosines = means @ means.T
    other = (cosines.sum() - np.trace(cosines)) / (99 * 98)
    assert np.mean([one.same for one in scans]) == pytest.approx(np.mean(same), abs=0.05)
    assert np.mean([one.other for one in scans]) == pytest.approx(other, abs=0.03)
    assert other < np.mean(same)


def test_the_random_tokens_are_those_without_the_latent(everything, some):
    made, contents, reads = everything
    latent = some[0]
    drawn_rows = sample(made.documents(), 100, [latent], LOOK)
    outside = scan(made.load(), contents, drawn_rows, LOOK).reference
    every = np.arange(len(outside.ids))
    kept = every[~outside.holds(latent, drawn_rows.documents[latent], every)]
    wanted = {
        (row, at)
        for row in set(drawn_rows.reference.tolist()) - set(drawn_rows.documents[latent].tolist())
        for at in set(range(len(reads[row].ids))) - set(held(reads[row], latent))
    }
    assert {(int(outside.rows[i]), int(outside.places[i])) for i in kept} == wanted
    for i in kept[:20]:
        assert reads[int(outside.rows[i])].ids[outside.places[i]] == outside.ids[i]


def test_a_latent_is_seen_the_same_whatever_is_looked_at_beside_it(everything, some):
    made, contents, _ = everything
    alone, among = (
        scan(made.load(), contents, sample(made.documents(), 100, latents, LOOK), LOOK).latents[
            some[0]
        ]
        for latents in (some[:1], some[::-1])
    )
    assert alone.chosen == among.chosen and list(alone.chosen) == list(among.chosen)
    assert sorted(zip(alone.rows, alone.places, strict=True)) == sorted(
        zip(among.rows, among.places, strict=True)
    )
    assert alone.likeness == pytest.approx(among.likeness, abs=1e-6)


def test_the_scale_is_the_same_whatever_is_looked_at(everything, some):
    made, contents, _ = everything
    one, other = (
        scan(made.load(), contents, sample(made.documents(), 100, latents, LOOK), LOOK)
        for latents in (some[:1], some)
    )
    assert one.same == pytest.approx(other.same, abs=1e-6)
    assert one.other == pytest.approx(other.other, abs=1e-6)


def test_the_seed_draws_latents_and_documents(everything, some):
    made, _, _ = everything
    postings = made.documents()
    assert drawn(postings, 5, 0) == drawn(postings, 40, 0)[:5] != drawn(postings, 5, 1)
    assert set(drawn(postings, None, 0)) == set(np.flatnonzero(postings.frequencies).tolist())
    one, other = (sample(postings, 100, some, Look(seed=seed)) for seed in (0, 1))
    assert one.documents[some[0]].tolist() != other.documents[some[0]].tolist()
    assert set(one.documents[some[0]].tolist()) == set(other.documents[some[0]].tolist())


def test_a_latent_that_is_not_there_is_refused(everything):
    made, _, _ = everything
    with pytest.raises(DataError, match="no latent 40. There are 0 to 39"):
        sample(made.documents(), 100, [40], LOOK)


@pytest.mark.parametrize("wrong", [{"documents": 0}, {"window": 0}, {"least": 3}, {"least": 300}])
def test_a_look_that_sees_nothing_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Look(**wrong)
