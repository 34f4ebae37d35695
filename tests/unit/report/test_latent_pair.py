"""What of a score is whose: the parts are the retriever's own, to the last bit."""

import numpy as np
import pytest

from trivet.core.errors import DataError
from trivet.report.latent_pair import pair, parts_of
from trivet.report.latent_reading import Place, in_sentence, plain, readings
from trivet.report.latent_text import whole

QUERY = "a green field by the deep sea"


@pytest.mark.parametrize("scale", ["root", "log", "none", "binary", "counts"])
@pytest.mark.parametrize("pooling", ["sum", "max"])
def test_the_parts_add_up_to_the_score_of_the_retriever(latent, texts, scale, pooling):
    made = latent(scale=scale, pooling=pooling, idf="lucene", k1=2.0)
    made.index(texts)
    ranking = dict(made.search(["q"], [QUERY], 100).of(0))
    assert len(ranking) > 50
    for row, name in enumerate(texts.ids):
        parts = [value for value, _, _ in parts_of(made, QUERY, row).values()]
        total = np.float32(0)
        for part in parts:
            total += np.float32(part)
        assert float(total) == ranking.get(name, 0.0)


def test_a_pair_says_rank_score_and_the_tokens_of_both_sides(latent, texts):
    made = latent()
    made.index(texts)
    ranking = made.search(["q"], [QUERY], 100).of(0)
    name = ranking[4][0]
    found = pair(made, texts, QUERY, name)
    assert (found.document, found.rank, found.score, found.searched) == (
        name,
        5,
        ranking[4][1],
        100,
    )
    assert sum(part.share for part in found.parts) == pytest.approx(1, abs=1e-6)
    assert [part.value for part in found.parts] == sorted(
        (part.value for part in found.parts), reverse=True
    )
    text = texts.contents()[texts.ids.index(name)]
    model = made.load()
    for part in found.parts:
        assert part.value == pytest.approx(part.asked * part.held, rel=1e-6)
        assert part.query and part.document
        (read,) = readings(model, [text], [0])
        held = {
            in_sentence(model, text, int(place)).token.casefold()
            for place in np.nonzero((read.latents == part.latent) & (read.weights > 0))[0]
        }
        assert {one.token.casefold() for one in part.document} <= held


def test_a_document_that_shares_nothing_has_no_parts_and_no_rank(latent, texts):
    made = latent(top_terms={"query": 1, "document": 1})
    made.index(texts)
    found = dict(made.search(["q"], [QUERY], 100).of(0))
    missing = next(name for name in texts.ids if name not in found)
    told = pair(made, texts, QUERY, missing)
    assert (told.rank, told.score, told.parts) == (None, 0.0, [])


def test_a_token_is_told_within_its_sentence(latent):
    model = latent().load()
    text = "One thing. The red fox; sleeps here! Then more."
    words = [
        in_sentence(model, text, place)
        for place in range(len(model.tokenizer([text], "document").ids[0]))
    ]
    assert [one.token for one in words][4:8] == ["The", "red", "fox", ";"]
    assert (words[5].before, words[5].after) == ("The ", " fox;")
    assert (words[0].token, words[0].before, words[-1].token) == ("[CLS]", "", "[SEP]")
    assert [whole(one) for one in words[5:8]] == ["red", "fox", ";"]
    assert whole(Place("of in", "som", "nia, and")) == "insomnia"
    long = in_sentence(model, "word " * 40 + "fox", 20, letters=11)
    assert (long.before, long.after) == ("…word word ", " word word…")


@pytest.mark.parametrize(("query", "document", "said"), [
    (" ", "d1", "the query is empty"),
    ("fox", "d100", "no document d100. Did you mean d10"),
])  # fmt: skip
def test_what_is_not_there_is_told_in_one_line(latent, texts, query, document, said):
    made = latent()
    made.index(texts)
    with pytest.raises(DataError, match=said):
        pair(made, texts, query, document)


@pytest.mark.parametrize(
    ("piece", "told"),
    [("##OMA", "oma"), ("ĠFox", "fox"), ("▁sea", "sea"), ("##", "##"), ("[CLS]", "[cls]")],
)
def test_a_token_is_told_without_marks_of_its_place_in_a_word(piece, told):
    assert plain(piece) == told
