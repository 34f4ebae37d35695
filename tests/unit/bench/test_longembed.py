import json
import math

import numpy as np
import pytest

from trivet.bench.draws import stream
from trivet.bench.evaluate import evaluate
from trivet.bench.longembed import _FILLER, _NEEDLES, Needle, Passkey, _hide
from trivet.bench.source import TaskSource
from trivet.core.errors import ConfigError, DataError
from trivet.core.places import asset
from trivet.core.records import Ranking
from trivet.retrieval.bm25 import Bm25

FACTS = json.loads(asset(_NEEDLES).read_text(encoding="utf-8"))
PROSE = "Ducks swim well. They walk less well! Do they mind? Nobody has asked them yet. " * 3


@pytest.fixture
def prose(tmp_path):
    (tmp_path / "a.txt").write_text(PROSE[:100])
    (tmp_path / "b.txt").write_text(PROSE[100:])
    return str(tmp_path)


class FirstWords:
    """A retriever that reads only the beginning of a document, as encoders of few tokens do."""

    def __init__(self, words):
        self.words, self.inner = words, Bm25()

    def index(self, corpus):
        texts = [" ".join(text.split()[: self.words]) for text in corpus.texts]
        self.inner.index(type(corpus)(corpus.ids, corpus.titles, texts))

    def search(self, ids, texts, k) -> Ranking:
        return self.inner.search(ids, texts, k)

    def describe(self):
        return self.inner.describe()


def accuracy(task, retriever):
    return evaluate(task, retriever, k=10, metrics=["accuracy@1"]).metrics["accuracy@1"]


def made(kind, length, prose, **fields):
    if kind == "passkey":
        return Passkey("x", length, **fields)
    return Needle("x", length, prose, **fields)


@pytest.mark.parametrize("kind", ["passkey", "needle"])
@pytest.mark.parametrize("length", [64, 256, 1000])
def test_a_document_has_three_words_for_four_tokens(kind, length, prose):
    task = made(kind, length, prose).load()
    assert {len(text.split()) for text in task.corpus.texts} == {length * 3 // 4}
    assert len(task.corpus) == 100 and len(task.queries) == 50


def test_a_passkey_document_is_the_filler_with_one_line_for_one_name():
    task = Passkey("x", 256).load()
    for query, text in task.queries.items():
        name = text.removeprefix("what is the passkey for ").removesuffix("?")
        (relevant,) = task.qrels[query]
        (found,) = (i for i, item in enumerate(task.corpus.texts) if f"{name}'s" in item)
        assert task.corpus.ids[found] == relevant
        words = task.corpus.texts[found].split()
        start = words.index(name.split()[0])
        key = words[start + 5].rstrip(".")
        line = f"{name}'s pass key is {key}. Remember it. {key} is the pass key for {name}."
        before, after = task.corpus.texts[found].split(line)
        assert key.isdigit() and before.endswith((". ", "")) and after[:1] in ("", " ")
        filler = (_FILLER + " ") * 20
        assert filler.startswith(" ".join((before + after).split()))


def test_each_key_stands_in_one_document():
    texts = Passkey("x", 256).load().corpus.texts
    keys = [word.rstrip(".") for text in texts for word in set(text.split()) if word[:-1].isdigit()]
    numbers = {key for key in keys if key.isdigit()}
    assert len(numbers) == 100


def test_a_needle_stands_whole_in_the_document_that_answers_its_question(prose):
    task = Needle("x", 256, prose).load()
    facts = {item["question"]: item["fact"] for item in FACTS}
    documents = list(zip(task.corpus.ids, task.corpus.texts, strict=True))
    holding = {
        question: [name for name, text in documents if fact in text]
        for question, fact in facts.items()
    }
    assert all(len(found) == 1 for found in holding.values())
    for query, question in task.queries.items():
        assert list(task.qrels[query]) == holding[question]


def test_the_rest_of_a_needle_document_is_the_prose_read_around_from_somewhere(prose):
    ring = " ".join((PROSE[:100] + " " + PROSE[100:]).split()) + " "
    for text in Needle("x", 512, prose).load().corpus.texts:
        fact = next(item["fact"] for item in FACTS if item["fact"] in text)
        before, after = text.split(fact)
        assert " ".join((before + after).split()) in ring * 20


def test_the_line_goes_between_sentences_everywhere_equally_often():
    random, prose = stream(0), ["One", "two.", "Three!", "Four", "five?", "Six"]
    found = [_hide(random, "|", prose) for _ in range(5_000)]
    places = {text.split().index("|"): found.count(text) for text in set(found)}
    assert sorted(places) == [0, 2, 3, 5, 6]
    assert all(abs(count - 1000) < 5 * math.sqrt(800) for count in places.values())


def test_facts_and_questions_are_a_hundred_and_none_stands_twice():
    assert len(FACTS) == 100
    for part in ("fact", "question"):
        assert len({item[part] for item in FACTS}) == 100
    assert all(item["fact"].endswith(".") and item["question"].endswith("?") for item in FACTS)


def test_each_question_shares_the_most_with_its_own_fact():
    task = Needle("x", 64, str(asset("demo/scifact"))).load()
    facts = {item["question"]: item["fact"] for item in FACTS}
    bare = type(task.corpus)(list(facts), [""] * 100, list(facts.values()))
    retriever = Bm25()
    retriever.index(bare)
    best = retriever.search(list(facts), list(facts), 1)
    hits = [bare.ids[row] == question for question, row in zip(facts, best.rows[:, 0], strict=True)]
    assert np.mean(hits) >= 0.95


@pytest.mark.parametrize("kind", ["passkey", "needle"])
def test_one_seed_makes_one_task_and_each_length_its_own(kind, prose):
    first, again = made(kind, 256, prose), made(kind, 256, prose)
    assert isinstance(first, TaskSource)
    assert first.load() == again.load() and first.fingerprint() == again.fingerprint()
    for fields in ({"seed": 1}, {"documents": 99}, {"queries": 49}):
        other = made(kind, 256, prose, **fields)
        assert other.fingerprint() != first.fingerprint()
        assert other.load().fingerprint != first.load().fingerprint
    longer = made(kind, 512, prose)
    assert longer.fingerprint() != first.fingerprint()
    assert set(longer.load().queries.values()) != set(first.load().queries.values())


def test_the_texts_of_a_seed_are_what_they_were():
    # Change this with _VERSION in longembed.py, and with it only.
    golden = "b7cf4f11774b81bd8c4a53705652c28cdd52f2fbeb1abe204a81dfa7ee2559c1"
    assert Passkey("x", 256, seed=7).load().fingerprint == golden


def test_data_on_the_command_line_names_the_prose_of_every_length(prose):
    from trivet.cli.eval import composed, parser

    bench = composed(parser().parse_args(["--bench", "needle", "--data", prose])).bench
    assert [task.length for task in bench.tasks] == [256 << i for i in range(8)]
    assert all(isinstance(task, Needle) and task.path == prose for task in bench.tasks)


def test_the_fingerprint_follows_the_prose_and_not_its_place(prose, tmp_path):
    before = Needle("x", 256, prose).fingerprint()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("a.txt", "b.txt"):
        (copy / name).write_text((tmp_path / name).read_text())
    assert Needle("x", 256, str(copy)).fingerprint() == before
    (copy / "b.txt").write_text("Other words.")
    assert Needle("x", 256, str(copy)).fingerprint() != before


def test_tables_are_read_before_txt_files(prose, tmp_path):
    (tmp_path / "essays.jsonl").write_text('{"text": "Only this."}\n{"text": "And this."}\n')
    text = Needle("x", 64, prose).load().corpus.texts[0]
    assert "Only this." in text and "Ducks" not in text


def test_prose_that_is_not_there_is_refused_with_the_way_to_name_it(tmp_path):
    with pytest.raises(ConfigError, match=r"no prose .*--data"):
        Needle("x", 256, str(tmp_path / "nowhere")).load()
    (tmp_path / "a.txt").write_text(" \n")
    with pytest.raises(DataError, match="the prose is empty"):
        Needle("x", 256, str(tmp_path)).load()


@pytest.mark.parametrize(
    "fields, match",
    [
        ({"length": 32}, "length: must be at least 64"),
        ({"queries": 101}, "queries: 101 queries of 100 documents"),
        ({"queries": 0}, "queries: 0 queries"),
        ({"documents": 101}, "documents: there are 100 facts, not 101"),
    ],
)
def test_numbers_that_make_no_task_are_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        Needle(**{"name": "x", "length": 256, "path": "x"} | fields)


@pytest.mark.parametrize("length", [256, 1024, 4096])
def test_bm25_finds_every_passkey_at_any_length(length):
    assert accuracy(Passkey("x", length).load(), Bm25()) == 1.0


@pytest.mark.parametrize("kind", ["passkey", "needle"])
def test_a_reader_of_the_beginning_fails_as_documents_grow(kind, prose):
    found = [accuracy(made(kind, n, prose).load(), FirstWords(192)) for n in (256, 1024, 8192)]
    assert found[0] > 0.85 and found[0] > found[1] + 0.3 > found[2] + 0.4


@pytest.mark.shared
def test_bm25_finds_most_needles_in_essays(shared):
    essays = str(shared / "data" / "texts" / "pg_essays")
    assert accuracy(Needle("x", 2048, essays).load(), Bm25()) >= 0.85
