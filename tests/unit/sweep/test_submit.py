"""A sweep from words to records, with a launcher that only writes what runs would."""

import re
import shutil
import time
from importlib.util import find_spec

import pytest

from trivet.cli import compose
from trivet.cli.sweep import run as cli
from trivet.cli.sweep_page import told
from trivet.core.errors import ConfigError, TrivetError
from trivet.core.files import read_json, write_json
from trivet.sweep import submit as submitting
from trivet.sweep.record import Status, Sweep
from trivet.sweep.retry import retry
from trivet.sweep.status import listed, table
from trivet.sweep.submit import Asked, submit

HEADS = ["+exp=tiny", "+ablation=projection_heads", "machine=local", "debug=steps4"]


@pytest.fixture
def begun(monkeypatch):
    """Every run that a launcher was given, in order; those in `failing` fail."""
    given, failing = [], set()

    def launcher(launch, sweep):
        def begin(elements):
            for words in elements:
                numbers = words[1].removeprefix("runs=[").removesuffix("]").split(",")
                for number in map(int, numbers):
                    given.append(number)
                    record = sweep.record(number)
                    state = "failed" if number in failing else "finished"
                    record.write(Status(state, "NaN" if number in failing else "", 1))
                    write_json(record.folder / "result.json", {"objective": float(number)})

        return begin

    monkeypatch.setattr(submitting, "launcher", launcher)
    monkeypatch.setattr("trivet.sweep.retry.launcher", launcher)
    monkeypatch.setattr("trivet.sweep.record.shutil.which", lambda name: None)
    given.append(failing)
    return given


def sweep(tmp_path, *words, preview=False):
    compose.prepare()
    asked = Asked([*words, f"out={tmp_path}"], "the command", preview)
    return submit(asked, compose.container)


def test_a_grid_is_the_product_of_levels_and_seeds_and_each_run_knows_its_own(tmp_path, begun):
    made = sweep(tmp_path, *HEADS, "seed=range(2)").sweep
    members = [record.member for record in made.records()]
    assert begun[1:] == list(range(8)) and made.id.startswith("projection_heads-")
    assert members[2]["overrides"] == ["head@stages.colbert.head=ffn", "seed=0"]
    assert members[2]["level"] == {"head@stages.colbert.head": "ffn"}
    assert all(m["baseline"] == {"head@stages.colbert.head": "linear"} for m in members)
    config = read_json(made.records()[3].config)
    assert (config["seed"], list(config["stages"])) == (1, ["start", "pretrain", "colbert"])
    assert config["stages"]["colbert"]["head"]["factor"] == 2.0  # ffn's


def test_the_same_sweep_again_runs_only_what_is_missing(tmp_path, begun):
    begun[0].add(2)
    first = sweep(tmp_path, *HEADS, "seed=1").sweep
    assert "3 finished" in table(first)[0] and "NaN" in "\n".join(table(first))
    begun[0].clear()
    again = sweep(tmp_path, *HEADS, "seed=1").sweep
    assert begun[1:] == [0, 1, 2, 3, 2] and again.id == first.id
    assert listed(tmp_path / "sweeps") == [f"{first.id}: 4 runs, 4 finished"]


def test_a_retry_reads_only_the_store(tmp_path, begun):
    begun[0].update((0, 3))
    folder = sweep(tmp_path, *HEADS, "seed=1").sweep.folder
    begun[0].clear()
    retry(Sweep.open(folder), [3])
    retry(Sweep.open(folder), [])
    assert begun[1:] == [0, 1, 2, 3, 3, 0]


def test_a_sweep_is_named_by_what_is_asked_and_not_by_where_it_runs(tmp_path, begun):
    one = sweep(tmp_path / "a", *HEADS, "seed=1", "++machine.threads=1").sweep.id
    two = sweep(tmp_path / "b", *HEADS, "seed=1", "cache=elsewhere").sweep.id
    other = sweep(tmp_path / "a", *HEADS, "seed=2").sweep.id
    assert one == two != other


def test_a_preview_starts_and_writes_nothing(tmp_path, begun):
    found = sweep(tmp_path, *HEADS, "seed=1,2", preview=True)
    assert len(found.planned) == 8 and begun[1:] == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["baseline={head@stages.colbert.head:nosuch}"], "baseline.*is not a level"),
        (["++machine.launch.pack=0"], "pack: must be at least 1"),
    ],
)
def test_what_cannot_be_a_sweep_is_refused_before_anything_runs(tmp_path, begun, words, said):
    with pytest.raises(ConfigError, match=said):
        sweep(tmp_path, *HEADS, *words)
    assert begun[1:] == []


@pytest.mark.parametrize(
    ("word", "said"),
    [("+ledgr=x", "ledgr: unknown key"), ("stages.pretrain.optim.lr=1e-3,fast", "lr: .*fast")],
)
def test_a_config_that_cannot_be_run_is_said_before_any_run_begins(tmp_path, begun, word, said):
    with pytest.raises(ConfigError, match=said):
        sweep(tmp_path, "+exp=tiny", "machine=local", "seed=1,2", word)
    assert begun[1:] == [] and not list(tmp_path.glob("sweeps/*/0000"))


@pytest.mark.parametrize(
    "words", [["status", "NAME", "--out", "O"], ["status", "--out", "O", "NAME"]]
)
def test_flags_may_stand_on_either_side_of_a_sweeps_name(tmp_path, begun, capsys, words):
    made = sweep(tmp_path, *HEADS, "seed=1").sweep
    values = {"NAME": made.id, "O": str(tmp_path)}
    assert cli([values.get(word, word) for word in words]) == 0
    assert "4 finished" in capsys.readouterr().out


def test_a_launcher_that_is_not_installed_is_one_line(tmp_path):
    try:
        import hydra_plugins.hydra_ray_launcher  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match=r"pip install 'trivet\[ray\]'"):
            sweep(tmp_path, "+exp=tiny", "seed=1,2", "machine=ray")


def test_a_run_whose_process_is_gone_is_lost_and_one_at_work_is_left_alone(tmp_path, begun):
    made = sweep(tmp_path, *HEADS, "seed=1").sweep
    lost, working = made.records()[:2]
    lost.write(Status("running", attempt=1, began=time.time()))
    assert (lost.status().state, lost.status().reason) == ("lost", "its process is gone")
    with working.claim():
        working.write(Status("running", attempt=1, began=time.time()))
        assert working.status().state == "running" and working.held()


def test_a_run_whose_config_was_edited_begins_anew_and_its_result_is_forgotten(tmp_path, begun):
    first = sweep(tmp_path, *HEADS, "seed=1").sweep
    record = first.record(1)
    config = read_json(record.config)
    config["stages"]["pretrain"]["optim"]["lr"] = 0.125
    write_json(record.config, config, ordered=False)
    begun[0].add(1)  # it fails: of the finished run nothing may be left
    sweep(tmp_path, *HEADS, "seed=1")
    assert begun[1:] == [0, 1, 2, 3, 1] and record.status().state == "failed"
    assert read_json(record.config)["stages"]["pretrain"]["optim"]["lr"] == 5e-4
    with record.claim():
        write_json(record.config, config, ordered=False)
        with pytest.raises(TrivetError, match=r"0001: is at work on another config.*cancel"):
            sweep(tmp_path, *HEADS, "seed=1")
        assert read_json(record.config) == config


def test_where_a_run_runs_may_change_without_beginning_it_anew(tmp_path, begun):
    sweep(tmp_path, *HEADS, "seed=1")
    sweep(tmp_path, *HEADS, "seed=1", "++machine.threads=1", "cache=elsewhere")
    assert begun[1:] == [0, 1, 2, 3]


def test_a_run_whose_folder_was_deleted_gets_a_number_that_is_free(tmp_path, begun):
    first = sweep(tmp_path, *HEADS, "seed=1").sweep
    shutil.rmtree(first.record(1).folder)
    again = sweep(tmp_path, *HEADS, "seed=1").sweep
    heads = [one.member["level"]["head@stages.colbert.head"] for one in again.records()]
    assert begun[1:] == [0, 1, 2, 3, 1] and len(set(heads)) == 4


def test_a_run_that_a_grid_holds_twice_runs_once(tmp_path, begun):
    made = sweep(tmp_path, "+exp=tiny", "machine=local", "seed=1,2,1").sweep
    assert begun[1:] == [0, 1] and len(made.records()) == 2


@pytest.mark.parametrize("preview", [False, True])
def test_a_grid_without_a_run_is_refused(tmp_path, begun, preview):
    with pytest.raises(ConfigError, match="seed: the grid is empty"):
        sweep(tmp_path, "+exp=tiny", "machine=local", "seed=range(0)", preview=preview)
    assert listed(tmp_path / "sweeps") == [f"no sweeps in {tmp_path / 'sweeps'}"]


def test_a_refused_sweep_leaves_no_folder(tmp_path, begun):
    with pytest.raises(ConfigError, match="ledgr"):
        sweep(tmp_path, *HEADS, "seed=1", "+ledgr=x")
    assert listed(tmp_path / "sweeps") == [f"no sweeps in {tmp_path / 'sweeps'}"]


def test_what_is_queued_is_lost_when_nobody_is_left_to_begin_it(tmp_path, begun):
    made = sweep(tmp_path, *HEADS, "seed=1").sweep
    made.records()[0].write(Status("queued"))
    with made.attended():
        assert "1 queued" in table(made)[0]
    assert "1 lost" in table(made)[0] and "nobody is left" in "\n".join(table(made))
    assert listed(tmp_path / "sweeps") == [f"{made.id}: 4 runs, 3 finished, 1 lost"]
    with made.records()[1].claim():  # its element may have more to do
        assert "1 queued" in table(made)[0]


def test_a_sweeper_that_is_not_installed_names_its_package(tmp_path):
    if find_spec("optuna") is not None:
        pytest.skip("it is installed")
    with pytest.raises(Exception) as caught:
        sweep(tmp_path, "+exp=tiny", "seed=1,2", "hydra/sweeper=optuna")
    assert "pip install 'trivet[optuna]'" in str(compose.plainly(caught.value))


def test_an_option_that_a_launcher_lacks_is_said_before_anything_begins(tmp_path):
    with pytest.raises(ConfigError, match=r"options.partition: no option of basic"):
        sweep(tmp_path, *HEADS, "++machine.launch.options.partition=gpu")
    assert not list(tmp_path.glob("sweeps/*/0000"))


def test_each_level_of_a_key_beside_the_ablations_own_has_its_baseline(tmp_path, begun):
    made = sweep(tmp_path, *HEADS, "seed=1", "stages.pretrain.optim.lr=1e-3,1e-4").sweep
    assert sum("(baseline)" in line for line in table(made)) == 2


def test_the_page_says_which_runs_are_missing_and_why(tmp_path, begun):
    begun[0].add(2)
    made = sweep(tmp_path, *HEADS, "seed=1").sweep
    rows = [{"sweep": {"level": made.record(0).member["level"]}}]
    text = told(made, rows)
    assert "4 runs, 1 failed, 3 finished. Begun with: the command." in text
    assert re.search(r"Run 0002 \(head@stages.colbert.head=\w+\): failed, NaN\.", text)
    assert "One level was measured" in text and "0001" not in text
