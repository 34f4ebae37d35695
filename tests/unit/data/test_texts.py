import json

import pytest

from trivet.core.errors import ConfigError, DataError
from trivet.data.columns import Columns
from trivet.data.decontaminate import Protected, decontaminate
from trivet.data.sources import Source
from trivet.data.texts import sentences

TEXT = "It rained. “Why?” He asked, e.g. of me (twice!). 3.5 mm fell\nin June.\n\nNothing more"


def written(tmp_path, *texts):
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"t": text}) for text in texts))
    return str(path)


def texts_of(source, tmp_path):
    return [(query, documents) for _, query, documents in source.open(tmp_path / "c").texts()]


def test_a_text_is_cut_where_a_sentence_ends_and_nowhere_else():
    assert list(sentences(TEXT)) == [
        "It rained.",
        "“Why?”",
        "He asked, e.g. of me (twice!).",
        "3.5 mm fell in June.",
        "Nothing more",
    ]
    assert list(sentences(" \n\n ")) == []


def test_no_word_is_lost_or_moved():
    assert " ".join(sentences(TEXT)).split() == TEXT.split()


def test_texts_stand_on_their_side(tmp_path):
    columns, path = Columns(text="t"), written(tmp_path, "one", "two")
    assert texts_of(Source("d", columns, path=path), tmp_path) == [("", ["one"]), ("", ["two"])]
    source = Source("q", columns, path=path, side="query")
    assert texts_of(source, tmp_path) == [("one", []), ("two", [])]
    assert source.open(tmp_path / "c").kind == "texts"


def test_sentences_are_rows_and_the_limit_counts_them(tmp_path):
    path = written(tmp_path, "A b. C d.", "E f. G h.")
    source = Source("s", Columns(text="t"), path=path, sentences=True, limit=3)
    assert [documents for _, documents in texts_of(source, tmp_path)] == [
        ["A b."],
        ["C d."],
        ["E f."],
    ]


def test_each_token_is_a_text_once(tmp_path):
    found = [d[0] for _, d in texts_of(Source("t", tokens="bert-base-uncased"), tmp_path)]
    assert len(found) == len(set(found)) > 26000
    assert "the" in found and "ing" in found and "#" in found
    assert not {"##ing", "[CLS]", "[unused12]"} & set(found)
    with pytest.raises(DataError, match=r"no tokenizer\.json"):
        Source("t", tokens=str(tmp_path)).open(tmp_path / "c")


def test_texts_that_are_queries_are_compared_with_a_benchs_queries(tmp_path):
    path = written(tmp_path, "what is red", "what is blue")
    test = Protected.of("test", queries=["What is red?"], relevant=[], corpus=[], query_ngram=8,
                        document_ngram=13)  # fmt: skip
    for side, dropped in (("query", 1), ("document", 0)):
        table = Source(side, Columns(text="t"), path=path, side=side).open(tmp_path / "c")
        assert decontaminate(table, test)[1].dropped == dropped


@pytest.mark.parametrize("fields", [{"side": "query"}, {"sentences": True}])
def test_what_belongs_to_plain_texts_is_refused_for_pairs(fields):
    with pytest.raises(ConfigError, match="belongs to plain texts, not to pairs"):
        Source("p", Columns(query="q", positive="p"), path="x.jsonl", **fields)


def test_tokens_have_no_columns():
    with pytest.raises(ConfigError, match="have columns of their own"):
        Source("t", Columns(text="t"), tokens="bert-base-uncased")
