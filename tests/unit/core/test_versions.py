import platform
import subprocess

import pytest
import torch

from trivet.core import versions


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of its own that the module believes to stand in."""
    monkeypatch.setattr(versions, "__file__", str(tmp_path / "src" / "trivet" / "core" / "v.py"))
    (tmp_path / "a").write_text("1")
    return tmp_path


def test_what_can_change_a_number_is_named_with_its_version():
    found = versions.library_versions()
    assert found["python"] == platform.python_version()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_a_library_that_is_not_there_is_left_out(monkeypatch):
    monkeypatch.setattr(versions, "_LIBRARIES", ("torch", "no-such-library"))
    assert set(versions.library_versions()) == {"python", "torch"}


def test_outside_of_a_checkout_there_is_no_revision(checkout):
    assert versions.git_revision() is None


def test_a_broken_checkout_has_no_revision(checkout):
    (checkout / ".git").mkdir()
    assert versions.git_revision() is None


def test_a_change_after_the_commit_is_told(checkout):
    git(checkout, "init", "-q")
    git(checkout, "add", "a")
    git(checkout, "commit", "-qm", "first")
    clean = versions.git_revision()
    assert clean is not None and len(clean["commit"]) == 40 and clean["dirty"] is False
    (checkout / "a").write_text("2")
    assert versions.git_revision() == {"commit": clean["commit"], "dirty": True}
