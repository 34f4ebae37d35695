"""What a run of a sweep leaves for whoever looks at the sweep."""

from types import SimpleNamespace

import pytest

from trivet.cli import measure
from trivet.cli.measure import conclude
from trivet.core.errors import ConfigError
from trivet.core.files import read_json
from trivet.core.member import Member

ROWS = [{"id": "a", "task": "birds", "metrics": {"ndcg@10": 0.5, "recall@10": 0.9}},
        {"id": "b", "task": "fish", "metrics": {"ndcg@10": 0.7, "recall@10": 0.1}}]  # fmt: skip


@pytest.fixture
def concluded(tmp_path, monkeypatch):
    """A function that ends the run with an objective, and reads what it left."""
    folder = tmp_path / "sweep" / "0003"
    folder.mkdir(parents=True)
    manifest = {"training": {"last": {"loss": 2.0, "dev/ndcg@10": 0.4}}}
    member = Member("m", "m-1", str(folder.parent), 3, {}, [])
    monkeypatch.setattr(measure, "_measured", lambda *_: ("/a/ledger.jsonl", ROWS))

    def end(objective, words="--bench zoo"):
        train = SimpleNamespace(
            sweep=member, measure=words, objective=objective, until=None, stages={"colbert": None}
        )
        conclude(train, SimpleNamespace(path=tmp_path / "model", manifest=manifest), {})
        return read_json(folder / "result.json")

    return end


@pytest.mark.parametrize(
    "objective, value",
    [("", 0.6), ("ndcg@10", 0.6), ("recall@10", 0.5), ("loss", 2.0), ("dev/ndcg@10", 0.4)],
)
def test_the_objective_is_the_mean_over_tasks_or_the_last_that_was_logged(
    concluded, objective, value
):
    found = concluded(objective)
    assert found["objective"] == pytest.approx(value)
    assert found["rows"] == ["a", "b"] and found["ledger"] == "/a/ledger.jsonl"
    assert found["metrics"]["fish"]["ndcg@10"] == 0.7


def test_without_a_bench_nothing_is_measured_and_the_log_may_be_the_objective(concluded):
    found = concluded("", words="")
    assert (found["objective"], found["rows"], found["ledger"]) == (None, [], None)
    assert concluded("loss", words="")["objective"] == 2.0


@pytest.mark.parametrize(
    "objective, said", [("mrr", "mrr is not measured"), ("dev/map", "dev/map was not logged")]
)
def test_an_objective_that_there_is_not_is_one_line(concluded, objective, said):
    with pytest.raises(ConfigError, match=said):
        concluded(objective)


@pytest.mark.parametrize(
    "words, said",
    [
        ("--bench scifcat --data x", "measure, --bench: scifcat is neither"),
        ("--bench demo --labl x", "measure: unrecognized arguments: --labl"),
        ("--bench demo --k none", "measure: .*--k"),
        ("--bench demo --retriever dens", "measure, --retriever: no retriever dens"),
        ("--bench 'demo", "measure: cannot be read"),
    ],
)
def test_what_eval_would_refuse_is_refused_before_a_run(words, said):
    with pytest.raises(ConfigError, match=said):
        measure.check(words)


def test_a_ledger_that_cannot_be_written_is_refused_before_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(measure.os, "access", lambda path, how: False)  # root may write anywhere
    with pytest.raises(ConfigError, match=f"measure, {tmp_path}: cannot be written"):
        measure.check(f"--bench demo --ledger {tmp_path}/new/ledger.jsonl")


def test_what_eval_takes_is_taken(tmp_path):
    measure.check(f"--bench demo --ledger {tmp_path}/new/ledger.jsonl ++machine.threads=1")
