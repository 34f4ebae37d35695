import json

import pytest

from trivet.bench.manifests import keep_manifests, kept_manifest
from trivet.core.errors import TrivetError

KEY = "ab" * 32


@pytest.fixture
def artifact(tmp_path):
    folder = tmp_path / "artifacts" / "pretrain-1"
    folder.mkdir(parents=True)
    manifest = {"key": KEY, "stage": "pretrain", "config": {"lr": 1e-3}, "files": {"a": "b"}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def facts(folder, key=KEY):
    return {"kind": "dense", "model": str(folder), "model_key": key}


def test_what_a_model_says_of_itself_outlives_its_folder(artifact, tmp_path):
    keep_manifests(tmp_path, facts(artifact))
    (artifact / "manifest.json").unlink()
    kept = kept_manifest(tmp_path / "ledger.jsonl", KEY)
    assert kept == {"key": KEY, "stage": "pretrain", "config": {"lr": 1e-3}}


def test_each_part_of_a_fusion_is_kept(artifact, tmp_path):
    parts = {"one": {"kind": "bm25", "model": "bm25s", "model_key": None}, "two": facts(artifact)}
    keep_manifests(tmp_path, {"model_key": "of both", "model": "both", "parts": parts})
    assert [path.name for path in (tmp_path / "manifests").iterdir()] == [f"{KEY[:16]}.json"]


def test_a_folder_that_holds_another_model_by_now_is_not_believed(artifact, tmp_path):
    keep_manifests(tmp_path, facts(artifact, key="cd" * 32))
    assert not (tmp_path / "manifests").exists()


def test_nothing_is_kept_of_what_is_no_artifact(tmp_path):
    keep_manifests(tmp_path, facts("org/model-on-the-hub"))
    assert kept_manifest(tmp_path / "ledger.jsonl", KEY) is None


def test_a_manifest_under_another_models_name_is_refused(artifact, tmp_path):
    keep_manifests(tmp_path, facts(artifact))
    with pytest.raises(TrivetError, match="not the manifest"):
        kept_manifest(tmp_path / "ledger.jsonl", KEY[:16] + "0" * 48)
