"""Which query token matched which document token: the terms are those of the retriever's score."""

from __future__ import annotations

import copy
import re
from functools import cache
from html.parser import HTMLParser

import pytest
import torch

from trivet.core.errors import DataError
from trivet.core.machine import Machine
from trivet.core.records import Corpus
from trivet.models.backbone import Fresh
from trivet.models.colbert import ColBERT, add_markers
from trivet.models.projections import FeedForward, draw
from trivet.models.tokens import Tokenizer
from trivet.report.match_page import page
from trivet.report.match_words import around, number, words
from trivet.report.matches import match
from trivet.retrieval.cache import Cache
from trivet.retrieval.colbert import ColbertRetriever

SHAPE = {"model_type": "bert", "vocab_size": 30522, "hidden_size": 16, "intermediate_size": 16}
SHAPE |= {"num_hidden_layers": 1, "num_attention_heads": 2}
TEXTS = [
    "A red fox, and an owl.",
    "<script>alert('x')</script> & <b onmouseover=\"x\">bold</b>",
    "שלום עולם, 東京タワー 🦊👩‍🔬! naïve",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen",
]
QUERY = 'a <i>red</i> "fox" 東京 שלום'


@cache
def fresh():
    """One encoder for all: whoever adds markers copies it."""
    return Fresh(SHAPE).load()


PARTS = """html head meta title style body header p h1 h2 h3 nav div button main section article
table thead tbody tfoot tr th td footer script"""


def searcher(expansion="none", prompt="", **fields):
    encoder, inner = copy.deepcopy(fresh())
    torch.manual_seed(0)
    prompts = {"query": prompt, "document": ""}
    lengths = {"query": 20, "document": 12}
    tokenizer = Tokenizer(
        inner, prompts=prompts, lengths=lengths, limit=512, markers=add_markers(encoder, inner)
    )
    head = draw(FeedForward(dim=8), 16, 0)
    model = ColBERT(encoder, head, tokenizer, expansion=expansion, skip=[1010, 1012])
    made = ColbertRetriever("m<o>del", machine=Machine(device="cpu"), cache=Cache(use=False),
                            **fields)  # fmt: skip
    made.use(model)
    return made


def corpus(texts=TEXTS):
    titles = [""] * (len(texts) - 1) + ["Numbers <up>"]
    return Corpus([f"d{i}" for i in range(len(texts))], titles, list(texts))


@pytest.fixture(scope="module")
def found():
    """Every kind of token there is."""
    made = searcher(expansion="mask", prompt="find: ")
    return match(made, corpus(), QUERY, top=4, grades={"d1": 1, "d3": 0})


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and text by what it stands in."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.texts.append(([dict(a).get("class") or t for t, a in self.open], data))

    def inside(self, kind):
        return "".join(text for where, text in self.texts if kind in where)

    def of(self, tag, kind=None):
        return [a for t, a in self.tags if t == tag and (kind is None or kind in
                (a.get("class") or "").split())]  # fmt: skip


@pytest.mark.parametrize("keep", ["float16", "float32"])
@pytest.mark.parametrize("expansion", ["none", "mask", "mask_attend"])
def test_the_terms_add_up_to_the_score_of_the_retriever(keep, expansion):
    made = searcher(expansion, keep=keep)
    explained = match(made, corpus(), QUERY, top=4)
    made.index(corpus())
    ranking = made.search(["q"], [QUERY], 4).of(0)
    assert [(one.id, one.score) for one in explained.documents] == ranking
    assert [one.rank for one in explained.documents] == [1, 2, 3, 4]
    for one in explained.documents:
        assert sum(one.values) == pytest.approx(one.score, rel=1e-6)
        assert len(one.values) == len(explained.tokens) == len(one.similarities)
        assert one.similarities.shape[1] == len(one.kept) > max(one.best)
        for value, best, row in zip(one.values, one.best, one.similarities, strict=True):
            assert value == row[best] == row.max()


def test_a_text_against_itself_finds_itself():
    """Both sides read the same without markers; each token's best is then its own place."""
    made = searcher()
    made.load().tokenizer.markers = {}
    one = match(made, corpus(), TEXTS[0].replace(",", "").replace(".", "")).documents
    same = match(made, Corpus(["x"], [""], ["red fox owl"]), "red fox owl").documents[0]
    assert same.best == [0, 1, 2, 3, 4] and same.score == pytest.approx(5, abs=1e-2)
    assert len(one) == 3


def test_a_relevant_document_is_shown_however_low_it_is():
    made = searcher()
    last = match(made, corpus(), QUERY, top=4).documents[-1]
    shown = match(made, corpus(), QUERY, top=1, grades={last.id: 1}).documents
    assert [one.rank for one in shown] == [1, 4] and shown[1].id == last.id
    assert len(match(made, corpus(), QUERY, top=1, grades={last.id: 0}).documents) == 1


def test_documents_that_are_named_are_shown_by_rank_and_once():
    made = searcher()
    ids = [one.id for one in match(made, corpus(), QUERY, top=4).documents]
    shown = match(made, corpus(), QUERY, wanted=[ids[2], ids[0], ids[2]]).documents
    assert [one.id for one in shown] == [ids[0], ids[2]]


@pytest.mark.parametrize(
    ("query", "wanted", "said"),
    [(" ", None, "query is empty"), ("fox", ["d9"], r"no document d9\. .*d0")],
)
def test_what_cannot_be_explained_is_told(query, wanted, said):
    with pytest.raises(DataError, match=said):
        match(searcher(), corpus(), query, wanted=wanted)


def test_the_page_shows_all_texts_whole_and_none_as_markup(found):
    seen = Page(page(found, "facts & <figures>"))
    assert not seen.open
    assert [tag for tag, _ in seen.tags].count("script") == 1
    assert {"i", "b", "bdi", "span"} >= {t for t, _ in seen.tags} - set(PARTS.split())
    assert not any(name.startswith("on") for _, attrs in seen.tags for name in attrs)
    assert QUERY in seen.inside("h1") and "facts & <figures>" in seen.inside("footer")
    shown = seen.inside("text")
    for token in ("[CLS]", "[D] ", "[D]", "[SEP]"):
        shown = shown.replace(token, "")
    for one in found.documents:
        assert "".join(one.text.split()) in "".join(shown.split())


def test_the_page_asks_for_nothing_from_elsewhere(found):
    text = page(found)
    seen = Page(text)
    assert not {"src", "href", "action", "srcset", "data"} & {n for _, a in seen.tags for n in a}
    assert not re.search(r"url\(|@import|https?:|//[a-z]", seen.inside("style"))
    assert not re.search(r"fetch|XMLHttp|import|https?:", seen.inside("script"))
    policy = [a["content"] for a in seen.of("meta") if "http-equiv" in a]
    assert policy and policy[0].startswith("default-src 'none'")


def test_each_vector_is_in_the_page_once_with_its_similarities(found):
    text = page(found)
    for one, card in zip(found.documents, Page(text).of("article"), strict=True):
        width = int(card["data-width"])
        assert width == len(one.kept)
        shades = bytes.fromhex(card["data-shades"])
        rows = torch.tensor(list(shades)).view(len(found.tokens), width)
        for row, best in zip(rows, map(int, card["data-best"].split()), strict=True):
            assert row[best] == row.max()
    cards = re.findall(r"<article.*?</article>", text, re.S)
    for one, card in zip(found.documents, cards, strict=True):
        marks = Page(card).of("span", "t")
        numbers = [int(i) for mark in marks for i in mark["data-i"].split()]
        assert numbers == list(range(len(one.kept)))
        won = {int(i) for m in marks if "won" in m["class"] for i in m["data-i"].split()}
        assert won >= set(one.best)
        assert len(Page(card).of("span", "skip")) == sum(not token.kept for token in one.tokens)


def test_every_query_token_has_a_button_and_a_row_that_add_up(found):
    seen = Page(page(found))
    places = [str(i) for i in range(len(found.tokens))]
    assert [b["data-q"] for b in seen.of("button")] == places
    rows = [row for row in seen.of("tr") if "data-q" in row]
    assert sorted(rows, key=lambda row: int(row["data-q"])) == sorted(
        rows, key=lambda row: places.index(row["data-q"])
    )
    assert {row["data-q"] for row in rows} == set(places) and len(rows) == len(places)
    sums = re.search(r"<tfoot>.*?</tfoot>", page(found), re.S)[0]
    for one in found.documents:
        assert f">{number(one.score)}<" in sums


def test_what_was_not_read_is_marked_so(found):
    seen = Page(page(found))
    unread = [text for where, text in seen.texts if where[-1:] == ["unread"]]
    assert any(text.endswith("ten eleven twelve thirteen fourteen fifteen") for text in unread)
    assert "Numbers<up>" in "".join(seen.inside("title").split())


def test_pieces_make_words_and_signs_of_other_scripts_stay_apart(found):
    labels = dict(words(found.tokens, found.query))
    assert "red" in labels and "fox" in labels and "שלום" in labels
    assert "東" in labels and "東京" not in labels
    assert sorted(i for places in labels.values() for i in places) == sorted(
        {i for places in labels.values() for i in places}
    )
    assert [label for label in labels if label.endswith("× [MASK]")]


def test_a_match_is_shown_among_whole_words():
    made = searcher()
    text = "the quick brown fox jumps over the lazy dog by the long river"
    tokens = match(made, Corpus(["x"], [""], [text]), "dog").documents[0].kept
    (jumps,) = [token for token in tokens if token.piece == "jumps"]
    shown = around(jumps, text)
    assert "<b>jumps</b>" in shown and shown.count("…") == 1
    assert number(-0.0001) == "0.000" and number(-0.5, sign=True) == "−0.500"


def test_two_documents_of_one_text_differ_in_nothing():
    text = page(match(searcher(), Corpus(["x", "y"], ["", ""], ["a fox"] * 2), "fox"))
    assert "<b>A</b> is ahead of <b>B</b> by 0.000." in text
