"""A run may begin with what trivet did not make, and knows it by its files."""

import pytest

from trivet.core.artifact import Store
from trivet.core.card import _recipe
from trivet.core.errors import ArtifactError
from trivet.stages import parent
from trivet.stages.lineage import ancestors
from trivet.stages.parent import open_parent


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "modules.json").write_text("[]")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_an_artifact_is_opened_as_it_is_and_checked(tmp_path):
    made = Store(tmp_path).make("x", "ab" * 32, lambda f: (f / "a.txt").write_text("a"), {})  # type: ignore
    assert open_parent(str(made.path)).manifest == made.manifest
    (made.path / "a.txt").write_text("b")
    with pytest.raises(ArtifactError, match=r"a\.txt is missing or was changed"):
        open_parent(str(made.path))


def test_a_model_of_another_library_is_known_by_its_files_and_not_by_its_making(model):
    opened = open_parent(str(model))
    assert (opened.path, opened.manifest["trained_on"]) == (model, None)
    (model / "README.md").write_text("words change nothing")
    assert open_parent(str(model)).key == opened.key
    (model / "tokenizer.json").write_text("[]")
    assert open_parent(str(model)).key != opened.key
    assert "parent (made elsewhere, known by its files)" in _recipe(ancestors(opened))


def test_a_hub_id_is_fetched_and_a_path_is_not(model, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(parent, "hub_model", lambda *named: asked.append(named) or model)
    monkeypatch.chdir(tmp_path)
    assert open_parent("owner/name").path == model
    assert asked == [("owner/name", "main")]
    (tmp_path / "owner").mkdir()
    for path in ("owner/name", "nowhere", "a/b/c", "/a/b"):
        with pytest.raises(
            ArtifactError, match=r"not an artifact, and no model of others\. .*back"
        ):
            open_parent(path)
    assert len(asked) == 1


def test_an_encoder_alone_is_no_parent(model):
    (model / "modules.json").unlink()
    with pytest.raises(ArtifactError, match=r"neither manifest\.json nor modules\.json"):
        open_parent(str(model))
