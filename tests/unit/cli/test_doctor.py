"""The doctor: a broken need is an exit status, a broken option is a reason."""

import json

import pytest

from trivet.cli import doctor


@pytest.fixture
def broken(monkeypatch):
    """Pretend that the named packages do not import; probe nothing else."""
    names: set[str] = set()

    def probe(name):
        if name in names:
            return {"works": False, "reason": "ImportError: undefined symbol"}
        return {"works": True, "version": "1.0"}

    monkeypatch.setattr(doctor, "probe", probe)
    return names


def test_all_well_exits_with_zero(broken, capsys):
    assert doctor.run([]) == 0
    assert "all that is needed works" in capsys.readouterr().out


def test_a_broken_need_exits_with_one_and_says_why(broken, capsys):
    broken.add("torch")
    assert doctor.run([]) == 1
    assert "torch BROKEN: ImportError: undefined symbol" in capsys.readouterr().out


def test_a_broken_option_shows_its_reason_and_extra_and_exits_with_zero(broken, capsys):
    broken.add("fast_plaid")
    assert doctor.run([]) == 0
    out = capsys.readouterr().out
    assert (
        "fast_plaid not there: ImportError: undefined symbol  (pip install 'trivet[plaid]')" in out
    )


def test_json_is_one_object(broken, capsys):
    doctor.run(["--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"] and found["configs"]["works"] and found["devices"]["cores"] >= 1


def test_a_package_is_tried_in_a_process_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "crashes.py").write_text("import os; os.abort()")
    (tmp_path / "lacks.py").write_text("import no_such_module")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert doctor.probe("crashes")["reason"] == "importing it crashes (signal 6)"
    assert "No module named 'no_such_module'" in doctor.probe("lacks")["reason"]
    assert doctor.probe("zstandard")["works"]


def test_a_cache_counts_a_file_once_however_many_links_name_it(tmp_path):
    (tmp_path / "blob").write_bytes(bytes(30 << 20))
    (tmp_path / "snapshot").symlink_to(tmp_path / "blob")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    found = doctor._folder(tmp_path)
    assert found["size_gib"] == 0.03 and found["writable"]


def test_a_folder_that_is_not_there_yet_is_judged_by_where_it_would_be(tmp_path):
    found = doctor._folder(tmp_path / "a" / "b")
    assert found["size_gib"] == 0 and found["writable"] and found["free_gib"] > 0
    assert not (tmp_path / "a").exists()


def test_a_package_that_hangs_is_a_reason(monkeypatch):
    def hang(*_, timeout, **__):
        raise doctor.subprocess.TimeoutExpired("python", timeout)

    monkeypatch.setattr(doctor.subprocess, "run", hang)
    assert doctor.probe("torch") == {"works": False, "reason": "importing it takes over 120 s"}


def test_without_its_configs_it_is_not_healthy(broken, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "config_folder", lambda: tmp_path)
    assert doctor.run([]) == 1
    assert f"{tmp_path}  BROKEN" in capsys.readouterr().out
