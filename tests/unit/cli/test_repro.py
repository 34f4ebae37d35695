"""`--ranking`, `--repro` and `sizes` as a user types them."""

import gzip
import json
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

from trivet.bench.ledger import Ledger
from trivet.retrieval.cache import Cache
from trivet.retrieval.codes import Code
from trivet.retrieval.stores import bytes_per_vector

LEDGER = Path("results/ledger.jsonl")


def edit(number, **changes):
    """Write a ledger in which one row says something else; `a__b` is b of a."""
    rows = list(Ledger(LEDGER).read())
    for name, value in changes.items():
        inner, _, last = name.rpartition("__")
        (rows[number][inner] if inner else rows[number])[last] = value
    LEDGER.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def measured(trivet, zoo, model):
    """One row of a dense model."""
    assert trivet("eval", "--bench", zoo(), "--model", model, "--label", "ours")[0] == 0
    return next(Ledger(LEDGER).read())


@pytest.mark.parametrize("by", ["id", "prefix", "label"])
def test_a_row_measured_again_is_itself_and_the_ledger_stays(trivet, measured, by):
    before = LEDGER.read_bytes()
    word = {"id": measured["id"], "prefix": measured["id"][:9], "label": "ours"}[by]
    status, out, _ = trivet("eval", "--repro", word, "--json")
    found = json.loads(out)
    assert status == 0 and found["reproduced"] and found["first"] == ""
    assert found["row"] == measured["id"] and found["unequal"] == {}
    assert found["metrics"].keys() == measured["metrics"].keys()
    assert all(m["difference"] == 0 and m["queries"] == 0 for m in found["metrics"].values())
    assert found["scores"] == {"difference": 0.0, "found": 8, "apart": 0}
    assert found["context"].keys() <= {"time", "seconds", "git"}
    assert LEDGER.read_bytes() == before
    assert [path.name for path in Path("results/per_query").iterdir()] == [f"{measured['id']}.json"]


def test_vectors_are_made_anew_and_not_taken_from_the_cache(trivet, measured, monkeypatch):
    used = []
    real = Cache.collect
    monkeypatch.setattr(Cache, "collect", lambda s, *a: used.append(s.use) or real(s, *a))
    assert trivet("eval", "--repro", "ours")[0] == 0
    assert used[0] is False


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"metrics__map": 0.123}, "map was 0.123, is"),
        ({"data": "f" * 64}, "data was ffff"),
        ({"k": 7}, "k was 7, is 100"),
        ({"retriever__dim": 31}, "retriever.dim was 31, is 32"),
        ({"retriever__model_key": "x", "metrics__map": 0.1}, "retriever.model_key was x, is"),
        ({"retriever__gone": 1}, "retriever.gone was 1, is None"),
    ],
)
def test_what_differs_is_named_first_and_told_by_the_status(trivet, measured, changes, first):
    edit(0, **changes)
    status, out, error = trivet("eval", "--repro", "ours")
    assert status == 3 and out.startswith(f"row {measured['id']}, zoo")
    assert f"row {measured['id']} is not reproduced: {first}" in error.splitlines()[-1]


def test_versions_and_hardware_are_context_and_no_difference(trivet, measured):
    edit(0, libraries__torch="0.1", hardware__cpu="an abacus", trivet="0")
    status, out, _ = trivet("eval", "--repro", "ours", "--json")
    assert status == 0
    assert {"torch", "hardware", "trivet"} <= json.loads(out)["context"].keys()


def test_a_changed_document_is_the_cause_and_its_effect_is_counted(trivet, measured, tmp_path):
    corpus = tmp_path / "zoo" / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace("a red fox", "stone cloud"))
    status, out, error = trivet("eval", "--repro", "ours", "--json")
    assert status == 3 and "data was" in error
    assert json.loads(out)["scores"]["difference"] > 0


def test_a_row_whose_ranking_is_gone_can_still_be_compared(trivet, measured):
    for kind in ("rankings", "per_query"):
        for path in Path("results", kind).iterdir():
            path.unlink()
    status, out, _ = trivet("eval", "--repro", "ours", "--json")
    assert status == 0 and json.loads(out)["scores"] is None


def test_a_path_that_is_gone_is_told_with_the_command(trivet, measured, tmp_path):
    (tmp_path / "zoo").rename(tmp_path / "elsewhere")
    status, _, error = trivet("eval", "--repro", "ours")
    assert status == 2 and "neither a bench nor a folder" in error
    assert "go where this was: trivet eval --bench" in error


def test_only_the_rows_own_task_of_a_bench_is_run(trivet, zoo, tmp_path):
    zoo(name="scifact"), zoo(name="nfcorpus", qrels="q1\tb\t1\n")
    words = ["--bench", "beir", "--data", str(tmp_path), "--tasks", "scifact,nfcorpus"]
    assert trivet("eval", *words, "--label", "both")[0] == 0
    rows = list(Ledger(LEDGER).read())
    status, out, error = trivet("eval", "--repro", "both")
    assert status == 2 and f"both names 2 rows. It may be {rows[0]['id']} (" in error
    for row in rows:
        status, out, _ = trivet("eval", "--repro", row["id"], "--json")
        assert status == 0 and json.loads(out)["task"] == row["task"]


def test_a_row_of_another_command_is_refused(trivet, measured):
    edit(0, command="trivet train +exp=tiny")
    status, _, error = trivet("eval", "--repro", "ours")
    assert status == 2 and "its command is not one of trivet eval" in error


def test_a_ranking_measured_alone_has_the_numbers_of_its_retriever(trivet, measured):
    path = Path("results", measured["ranking"])
    with gzip.open(path, "rt") as packed:
        Path("run.txt").write_text(packed.read().replace("\t", " ").replace(measured["id"], "mine"))
    assert trivet("eval", "--bench", "../zoo", "--ranking", "run.txt")[0] == 0
    row = list(Ledger(LEDGER).read())[1]
    assert row["metrics"] == measured["metrics"] and row["label"] == "mine"
    assert row["retriever"]["kind"] == "ranking"
    assert trivet("eval", "--repro", row["id"])[0] == 0
    Path("run.txt").write_text(Path("run.txt").read_text() + "\n")
    status, _, error = trivet("eval", "--repro", row["id"])
    assert status == 3 and "retriever.model_key was" in error


def test_sizes_are_measured_once_encoded_and_each_row_can_be_measured_alone(
    trivet, measured, monkeypatch
):
    from trivet.retrieval import dense

    encoded = []
    for name in ("encode", "encode_shards"):
        real = getattr(dense, name)

        def counted(model, texts, side, *rest, real=real, **named):
            encoded.extend([side] * bool(side == "query" or rest[0]))  # no shard may be missing
            return real(model, texts, side, *rest, **named)

        monkeypatch.setattr(dense, name, counted)
    words = ["--bench", "../zoo", "--model", measured["retriever"]["model"], "--no-cache"]
    status, out, _ = trivet("sizes", *words, "--dims", "32,8", "--label", "m", "--json")
    assert status == 0 and sorted(encoded) == ["document", "query"]
    found = json.loads(out)["sizes"]
    assert len(found) == 8 and found[0]["share"] == 1.0
    rows = list(Ledger(LEDGER).read())[1:]
    for size, row in zip(found, rows, strict=True):
        facts = row["retriever"]
        assert (size["dim"], size["store"]) == (facts["dim"], facts["store"])
        assert size["value"] == row["metrics"]["ndcg@10"]
        want = bytes_per_vector(size["dim"], size["store"], size["rescore"] or "int8")
        assert size["bytes_per_vector"] == facts["bytes_per_vector"] == want
        assert size["gib_100m"] == pytest.approx(want * 1e8 / 2**30, abs=1e-3)
    assert [row["label"] for row in rows[:4]] == [
        "m 32d float32", "m 32d int8", "m 32d binary+int8", "m 32d binary"]  # fmt: skip
    assert rows[0]["metrics"] == measured["metrics"]
    for row in (rows[0], rows[6], rows[7]):
        assert trivet(*shlex.split(row["command"])[1:])[0] == 0
        again = list(Ledger(LEDGER).read())[-1]
        assert (again["metrics"], again["retriever"]) == (row["metrics"], row["retriever"])


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--dims", "64"], "--dims: the model has 32 dimensions, not 64"),
        (["--dims", "0"], "--dims: the model has 32 dimensions, not 0"),
        (["--dims", "32,"], "--dims: 32, is not whole numbers by commas"),
        (["--pools", "x"], "--pools: x is not whole numbers by commas. Write --pools 4 or"),
        (["--budgets", "1.5"], "--budgets: 1.5 is not whole numbers by commas"),
        (["--stores", "int9"], "--stores: no store int9. Did you mean int8"),
    ],
)
def test_a_size_that_there_is_not_is_refused_before_any_work(trivet, zoo, model, words, match):
    status, _, error = trivet("sizes", "--bench", zoo(), "--model", model, *words)
    assert status == 2 and match in error and not LEDGER.exists()
    assert error.count("\n") == 1


def test_the_help_of_sizes_names_stores_that_there_are(trivet):
    status, out, _ = trivet("sizes", "--help")
    named = re.search(r"of a ColBERT model ([\w,]+), the first", " ".join(out.split()))
    assert status == 0 and named
    assert set(named[1].split(",")) <= set(get_args(Code))


def test_sizes_of_a_colbert_model_are_encoded_once_and_each_row_can_be_measured_alone(
    trivet, zoo, colbert, monkeypatch
):
    from trivet.retrieval import colbert as room
    from trivet.retrieval.codes import code_bytes

    real, encoded = room.encode_shards, []

    def counted(model, texts, side, parts, **named):
        encoded.extend([side] * bool(parts))
        return real(model, texts, side, parts, **named)

    monkeypatch.setattr(room, "encode_shards", counted)
    words = ["--bench", zoo(), "--model", colbert, "--retriever", "colbert", "--no-cache"]
    more = ["--dims", "8,4", "--pools", "1,2", "--budgets", "3", "--label", "m"]
    own = ["retriever.pool.protect=0", "retriever.pool.linkage=average"]
    status, out, _ = trivet("sizes", *words, *more, "--json", *own)
    assert status == 0 and sorted(encoded) == ["document", "query"]
    found = json.loads(out)["sizes"]
    rows = list(Ledger(LEDGER).read())
    assert len(found) == len(rows) == 2 * 3 * 3 and found[0]["share"] == 1.0
    whole = found[0]["vectors_per_document"]
    for size, row in zip(found, rows, strict=True):
        facts = row["retriever"]
        assert [size[name] for name in ("dim", "store", "pool")] == [
            facts[name] for name in ("dim", "store", "pool")
        ]
        assert size["value"] == row["metrics"]["ndcg@10"]
        one = code_bytes(size["dim"], size["store"])
        assert size["bytes_per_vector"] == facts["bytes_per_vector"] == one
        assert size["vectors_per_document"] == round(facts["vectors"] / 4, 3)
        assert size["bytes_per_document"] == round(facts["vectors"] * one / 4, 1)
        assert size["gib_1m"] == round(facts["vectors"] * one / 4 * 1e6 / 2**30, 3)
        pool = size["pool"]
        assert (size["vectors_per_document"] < whole) == (pool is not None)
        if pool is not None:
            assert (pool["protect"], pool["linkage"]) == (0, "average")
            assert pool["budget"] is None or size["vectors_per_document"] <= 3
    assert [row["label"] for row in rows[::6]] == [
        "m 8d float16", "m 8d float16 pool2", "m 8d float16 max3"]  # fmt: skip
    for row in (rows[0], rows[10], rows[17]):
        assert trivet(*shlex.split(row["command"])[1:])[0] == 0
        again = list(Ledger(LEDGER).read())[-1]
        assert (again["metrics"], again["retriever"]) == (row["metrics"], row["retriever"])
    status, out, _ = trivet("sizes", *words, "--dims", "8", "--pools", "2", "--stores", "binary")
    assert status == 0 and "GiB for 1M" in out and "| 8d binary pool2 |" in out


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--dims", "9"], "--dims: the model has 8 dimensions, not 9"),
        (["--stores", "int9"], "--stores: no store int9. Did you mean int8"),
        (["--stores", "float32"], "--stores: .* kept in float16. Add retriever.keep=float32"),
        (["--pools", "0"], "--pools: must be at least 1"),
        (["--budgets", "1"], "--budgets: 1 vectors leave none beside 1 protected. Set at least 2"),
        (["--retriever", "plaid"], "--retriever: only vectors searched exactly have sizes"),
    ],
)
def test_a_colbert_size_that_there_is_not_is_refused(trivet, zoo, colbert, words, match):
    given = ["--bench", zoo(), "--model", colbert, "--retriever", "colbert", *words]
    status, _, error = trivet("sizes", *given)
    assert status == 2 and re.search(match, error) and not LEDGER.exists()


def test_a_dense_model_has_nothing_to_pool(trivet, zoo, model):
    status, _, error = trivet("sizes", "--bench", zoo(), "--model", model, "--pools", "2")
    assert status == 2 and "--pools: a dense model has one vector a document" in error
