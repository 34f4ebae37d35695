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
