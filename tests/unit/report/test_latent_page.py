"""The page of latents: one file, bounded, that no text can break out of."""

import json
import re

import numpy as np
import pytest

from trivet.report import latent_page
from trivet.report.latent_curves import Curve, of_postings, of_words
from trivet.report.latent_figure import figure


def data(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S).group(1))


def test_the_page_holds_every_card_and_no_address(cards, page_of):
    features = cards(60)
    page = page_of(features)
    found = data(page)
    assert [one["n"] for one in found] == list(range(60))
    for one, feature in zip(found, features, strict=True):
        assert one["t"] == [["red", 0.6], ["other", 0.25]] or one["t"][0][0] == feature.tokens[0][0]
        assert one["c"][0][1:4] == ["</script><b> & 'a' ", feature.tokens[0][0],
                                    " naïve \u2028 東京"]  # fmt: skip
        assert (one["a"] is None) == (feature.area is None)
        assert (one["s"] is None) == (not np.isfinite(feature.spread))
    assert "all of them are here" in page
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|http-equiv', "", page)
    assert "m&lt;o&gt;del" in page and "<o>" not in page
    assert page.count("</script>") == 2 and "\u2028" not in page


def test_what_does_not_fit_is_left_out_in_the_order_of_the_seed(cards, page_of, monkeypatch):
    features = cards(400, length=20)
    whole = page_of(features)
    monkeypatch.setattr(latent_page, "BOUND", 150_000)
    page = page_of(features)
    kept = [one["n"] for one in data(page)]
    assert kept == list(range(len(kept))) and 10 < len(kept) < 400
    assert len(page.encode()) <= 150_000 < len(whole.encode())
    assert len(page.encode()) > 140_000
    assert f"{len(kept)} are here, drawn by seed 0" in page


def test_a_full_page_is_under_three_megabytes(cards, page_of):
    size = len(page_of(cards(6000, length=30)).encode())
    assert 2_800_000 < size <= latent_page.BOUND < 3_000_000


def test_shares_stand_beside_the_published_ones(cards, page_of):
    page = page_of(cards(60))
    row = r'<tr><th scope="row">([a-z ]+)</th>.*?<b>(\d+)%</b>.*?soft">(\d+)%</td></tr>'
    rows = re.findall(row, page)
    assert rows == [("lexical", "33", "33"), ("narrow semantic", "33", "10"),
                    ("broad topical", "33", "57")]  # fmt: skip
    assert "They are no target" in page and "2605.29384" in page


def test_the_figure_is_the_same_every_time_in_colours_of_the_page(page_of):
    curves = [
        Curve(name, 500 // np.arange(1, 400), None) for name in ("latents", "words", "SPLADE’s")
    ]
    one = figure(curves, 500)
    assert one == figure(curves, 500)
    assert not re.search(r"#0[1-6]0[1-6]0[1-6]", one)
    for name in ("--one", "--two", "--three", "--ink", "--soft"):
        assert f"var({name})" in one
    for said in ("latents", "words", "SPLADE’s", "all 500 documents", "rank"):
        assert f">{said}" in one or f"{said}</text>" in one
    assert len(one) < 120_000


def test_a_curve_counts_documents(latent, texts):
    made = latent()
    made.index(texts)
    curve = of_postings("latents", made.documents(), 100, 0)
    assert curve.frequencies.tolist() == sorted(
        (n for n in made.documents().frequencies.tolist() if n), reverse=True
    )
    words = of_words(["red red fox", "the red owl", "Red!"], 0)
    assert words.frequencies.tolist() == [3, 1, 1, 1]
    assert words.fit is None and words.said == "too few terms to fit"


@pytest.mark.parametrize("splade", [True, False])
def test_each_curve_has_its_row(cards, page_of, splade):
    page = page_of(cards(5), splade=splade)
    assert page.count('class="key"') == 2 + splade
    assert ("SPLADE’s terms" in page) == splade
