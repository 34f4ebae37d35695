import pytest

from trivet.core.errors import ConfigError
from trivet.retrieval.words import Words, clean


@pytest.mark.parametrize(
    "text, words",
    [
        ("R&D", "r and d"),
        ("the U.S. army, e.g. now.", "the us army eg now"),
        ("2.5 mg at example.org", "2 5 mg at example org"),
        ("“Don’t” – it´s", "don t it s"),
        ("CO2 (x_y)", "co2 x y"),
        (" \t ", ""),
    ],
)
def test_texts_are_cleaned_in_the_published_order(text, words):
    assert clean(text).split() == words.split()


def test_the_pipelines_differ_in_short_words_and_joins():
    text = ["A x-ray of U.S. D&D"]
    plain = {"stemmer": None, "stop_words": None}
    assert Words("bm25", **plain)(text) == [["ray", "of"]]
    assert Words("bmx", **plain)(text) == [["a", "x", "ray", "of", "us", "d", "and", "d"]]


def test_nltk_stop_words_go_and_the_rest_is_stemmed():
    assert Words("bmx", "english", "en_plus")(["Don't you run the races?"]) == [["run", "race"]]


@pytest.mark.parametrize("pipeline", ["bm25", "bmx"])
def test_numbers_stand_for_the_same_words(pipeline):
    words, texts = Words(pipeline, "english", "en"), ["red foxes, red hills", "", "the fox ran"]
    numbered = words.numbered(texts)
    names = {number: word for word, number in numbered.vocab.items()}
    assert [[names[i] for i in ids] for ids in numbered.ids] == words(texts)


@pytest.mark.parametrize("fields", [("klingon", None), (None, "klingon")])
def test_words_that_cannot_be_made_are_refused(fields):
    with pytest.raises(ConfigError, match="klingon"):
        Words("bmx", *fields)
