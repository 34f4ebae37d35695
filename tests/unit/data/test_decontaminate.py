import re

import numpy as np
import pytest

from trivet.core.errors import ConfigError
from trivet.data.decontaminate import Known, Protected, decontaminate, hashes
from trivet.data.table import Record, Table, write_table

QUERY_NGRAM, DOCUMENT_NGRAM = 4, 6
QUERY = "does green tea help the heart"
ANSWER = "a long trial found that green tea does little for the heart at all"
OTHER = "mars has two moons and both of them are small and dark"


@pytest.fixture
def protected():
    return Protected.of(
        "task",
        queries=[QUERY],
        relevant=[ANSWER],
        corpus=[ANSWER, OTHER],
        query_ngram=QUERY_NGRAM,
        document_ngram=DOCUMENT_NGRAM,
    )


@pytest.fixture
def make(tmp_path):
    def make(*pairs, in_domain=False):
        clean = [(f"clean question {i}", f"clean reply {i}") for i in range(4)]
        rows = [Record(q, [d], []) for q, d in [*clean, *pairs]]
        write_table(tmp_path / "t", iter(rows), "pairs", "train")
        return Table.open(tmp_path / "t", "train", {}, in_domain)

    return make


def counted(found):
    names = ("query_exact", "query_ngram", "document_exact", "document_ngram")
    return tuple(getattr(found, name) for name in names)


def test_clean_rows_all_stay(make, protected):
    table = make()
    kept, found = decontaminate(table, protected)
    assert kept is table
    assert (found.rows, found.dropped, counted(found)) == (4, 0, (0, 0, 0, 0))


@pytest.mark.parametrize(
    "query", [QUERY, QUERY.upper(), "Does green-tea help: the heart?!", f"  {QUERY}\n"]
)
def test_a_test_query_is_found_whatever_its_case_and_punctuation(make, protected, query):
    kept, found = decontaminate(make((query, "clean")), protected)
    assert (found.dropped, counted(found)) == (1, (1, 0, 0, 0))
    assert [q for _, q, _ in kept.texts()] == [f"clean question {i}" for i in range(4)]


@pytest.mark.parametrize("document", [ANSWER, ANSWER.title() + ".", ANSWER.replace(" ", ", ")])
def test_a_relevant_document_is_found_whatever_its_case_and_punctuation(make, protected, document):
    _, found = decontaminate(make(("clean", document)), protected)
    assert (found.dropped, counted(found)) == (1, (0, 0, 1, 0))


@pytest.mark.parametrize(("length", "hits"), [(QUERY_NGRAM, 1), (QUERY_NGRAM - 1, 0)])
@pytest.mark.parametrize("start", [0, 1, 2])
def test_a_query_that_shares_n_words_is_dropped_and_n_minus_1_stays(
    make, protected, length, hits, start
):
    shared = " ".join(QUERY.split()[start : start + length])
    _, found = decontaminate(make((f"before {shared} after", "clean")), protected)
    assert (found.dropped, counted(found)) == (hits, (0, hits, 0, 0))


@pytest.mark.parametrize(("length", "hits"), [(DOCUMENT_NGRAM, 1), (DOCUMENT_NGRAM - 1, 0)])
@pytest.mark.parametrize("start", [0, 3, 8])
def test_a_document_that_shares_n_words_is_dropped_and_n_minus_1_stays(
    make, protected, length, hits, start
):
    shared = " ".join(ANSWER.split()[start : start + length])
    _, found = decontaminate(make(("clean", f"before {shared} after")), protected)
    assert (found.dropped, counted(found)) == (hits, (0, 0, 0, hits))


def test_the_same_words_in_another_order_are_no_overlap(make, protected):
    turned = " ".join(reversed(QUERY.split()))
    _, found = decontaminate(make((turned, "clean")), protected)
    assert found.dropped == 0


def test_a_run_of_words_does_not_cross_from_one_test_text_into_the_next(make):
    two = Protected.of(
        "task",
        queries=["one two three", "four five six"],
        relevant=[],
        corpus=[],
        query_ngram=4,
        document_ngram=4,
    )
    _, found = decontaminate(make(("two three four five", "clean")), two)
    assert found.dropped == 0


def test_a_document_of_the_corpus_that_no_query_wants_may_stay(make, protected):
    _, found = decontaminate(make(("clean", OTHER)), protected)
    assert (found.dropped, found.in_corpus) == (0, 1)


def test_a_row_with_two_overlaps_is_dropped_once_and_both_are_counted(make, protected):
    _, found = decontaminate(make((QUERY, ANSWER)), protected)
    assert (found.rows, found.dropped, counted(found)) == (5, 1, (1, 0, 1, 0))


def test_a_negative_that_overlaps_drops_the_row_too(tmp_path, protected):
    rows = [Record("clean", ["reply", "noise"], []), Record("clean", ["reply", ANSWER], [])]
    write_table(tmp_path / "t", iter(rows), "pairs", "train")
    kept, found = decontaminate(Table.open(tmp_path / "t", "train", {}, False), protected)
    assert (found.dropped, counted(found), found.in_corpus) == (1, (0, 0, 1, 0), 0)
    assert kept.read(np.array([0])).rows == [0]


def test_an_in_domain_source_is_counted_and_kept(make, protected):
    table = make((QUERY, ANSWER), ("clean", ANSWER), in_domain=True)
    kept, found = decontaminate(table, protected)
    assert len(kept) == len(table)
    assert (found.dropped, found.in_domain, counted(found)) == (0, True, (1, 0, 2, 0))


def test_a_bench_s_own_train_split_is_refused_until_it_is_marked(make, protected):
    own = [(f"own question {i}", OTHER) for i in range(5)]  # 5 of 9 rows
    with pytest.raises(ConfigError, match="train: 5 of 9 rows.*in_domain: true"):
        decontaminate(make(*own), protected)


def test_half_of_a_source_in_the_corpus_does_not_make_it_the_bench_s_own(make, protected):
    half = [(f"own question {i}", OTHER) for i in range(4)]  # 4 of 8 rows
    _, found = decontaminate(make(*half), protected)
    assert found.in_corpus == 4


def test_a_second_task_cleans_what_the_first_left(make, protected):
    table = make((QUERY, "clean"), ("unlike it", "clean"), ("how far is mars", "clean"))
    other = Protected.of(
        "other",
        queries=["How far is Mars?"],
        relevant=[],
        corpus=[],
        query_ngram=QUERY_NGRAM,
        document_ngram=DOCUMENT_NGRAM,
    )
    once, _ = decontaminate(table, protected)
    twice, found = decontaminate(once, other)
    assert (found.rows, found.dropped) == (6, 1)
    assert twice.read(np.arange(len(twice))).rows == [0, 1, 2, 3, 5]


def test_overlaps_agree_with_a_search_word_by_word(make, protected):
    random = np.random.default_rng(0)
    words = np.array(QUERY.split())
    queries = [" ".join(random.choice(words, 9)) for _ in range(200)]
    kept, found = decontaminate(make(*((query, "clean") for query in queries)), protected)
    runs = [" ".join(words[i : i + QUERY_NGRAM]) for i in range(len(words) - QUERY_NGRAM + 1)]
    hits = sum(any(f" {run} " in f" {query} " for run in runs) for query in queries)
    assert 0 < hits == found.dropped
    assert len(kept) == 204 - hits


def test_a_text_without_words_overlaps_nothing(make):
    blank = Protected.of(
        "task", queries=["?!"], relevant=["…"], corpus=["", "."], query_ngram=4, document_ngram=4
    )
    _, found = decontaminate(make(("...", "!"), ("", "clean")), blank)
    assert (found.dropped, found.in_corpus, counted(found)) == (0, 0, (0, 0, 0, 0))


def test_a_test_without_queries_touches_nothing(make):
    empty = Protected.of(
        "task", queries=[], relevant=[], corpus=[], query_ngram=4, document_ngram=4
    )
    _, found = decontaminate(make((QUERY, ANSWER)), empty)
    assert counted(found) == (0, 0, 0, 0)


@pytest.mark.parametrize("size", [1, 3, 20])
def test_hashes_are_equal_where_lower_case_words_are_and_nowhere_else(size):
    random = np.random.default_rng(0)
    marks = [" ", "-", "…", "\n", "_", "'", "\u0307"]
    letters = ["a", "B", "é", "İ", "ß", "中", "x9", "\U0001d7d9", "\ud800", "𐐀"]
    by_words: dict[tuple[str, ...], set[int]] = {}
    for _ in range(400):
        text = "".join(random.choice(letters + marks, int(random.integers(0, 30))))
        words = re.findall(r"\w+", text.lower())
        found = hashes(text, size).tolist()
        runs = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
        assert len(found) == (1 + len(runs) if words else 0)
        keys = [("whole", *words), *runs] if words else []
        for key, one in zip(keys, found, strict=True):
            by_words.setdefault(key, set()).add(one)
    assert len(by_words) > 300
    ones = [one for found in by_words.values() for one in found]
    assert len(ones) == len(by_words) == len(set(ones))


def test_a_set_of_hashes_knows_its_own_and_no_others():
    random = np.random.default_rng(0)
    own, others = random.integers(0, 1 << 64, (2, 5000), dtype=np.uint64)
    known = Known.of([own[:2000], own[2000:2000], own[2000:]])
    near = own ^ np.uint64(1)  # the same bit of the map
    assert all(known.has(own[i : i + 1]) for i in range(5000))
    assert not known.has(others) and not known.has(near) and not known.has(own[:0])
    assert known.has(np.append(others, own[7]))
    assert not Known.of([]).has(own)
