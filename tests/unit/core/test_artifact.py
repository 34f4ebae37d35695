import json
from dataclasses import dataclass

import pytest

from trivet.core.artifact import CARD, MANIFEST, Artifact, Store, artifact_key
from trivet.core.errors import ArtifactError
from trivet.core.schema import content, unkeyed

KEY = "0123456789abcdef" * 4


def write(folder):
    (folder / "model").mkdir()
    (folder / "model" / "weights").write_bytes(b"1234")
    (folder / "notes.txt").write_text("fine")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def made(store):
    return store.make("pretrain", KEY, write, {"steps": 3})


def test_what_was_made_is_found_whole(store, made):
    found = store.find("pretrain", KEY)
    assert found == made
    assert (found.stage, found.key, found.manifest["steps"]) == ("pretrain", KEY, 3)
    assert (found.path / "model" / "weights").read_bytes() == b"1234"
    assert set(found.manifest["files"]) == {"model/weights", "notes.txt"}


def test_a_card_may_be_edited_and_no_other_file(store, made):
    (made.path / CARD).write_text("mine")
    assert store.find("pretrain", KEY) == made

    def with_card(folder):
        write(folder)
        (folder / CARD).write_text("a card")

    other = store.make("other", KEY, with_card, {})
    assert CARD not in other.manifest["files"]
    (other.path / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="notes.txt is missing or was changed"):
        Artifact.open(other.path)


def test_another_key_or_stage_finds_nothing(store, made):
    assert store.find("pretrain", "f" * 64) is None
    assert store.find("dense", KEY) is None


def test_a_folder_without_a_manifest_is_not_an_artifact(store, made):
    (made.path / MANIFEST).unlink()
    assert store.find("pretrain", KEY) is None
    with pytest.raises(ArtifactError, match="not a finished artifact"):
        Artifact.open(made.path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"key": "a", "stage": "b"}', "3"])
def test_a_manifest_of_something_else_is_refused(made, text):
    (made.path / MANIFEST).write_text(text)
    with pytest.raises(ArtifactError, match="not an artifact's manifest"):
        Artifact.open(made.path)


def test_an_attempt_that_fails_leaves_nothing_and_the_next_one_works(store):
    def fail(folder):
        write(folder)
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        store.make("pretrain", KEY, fail, {})
    assert store.find("pretrain", KEY) is None
    assert list(store.root.iterdir()) == []
    assert store.make("pretrain", KEY, write, {}) == store.find("pretrain", KEY)


def change(path):
    path.write_bytes(b"1235")


@pytest.mark.parametrize("harm", [change, lambda path: path.unlink()])
def test_a_file_changed_or_lost_since_is_refused_by_name(store, made, harm):
    harm(made.path / "model" / "weights")
    with pytest.raises(ArtifactError, match="model/weights") as caught:
        store.find("pretrain", KEY)
    assert str(made.path) in str(caught.value)
    assert store.find("pretrain", KEY, verify=False) is not None


def test_a_key_that_is_not_the_one_in_the_name_is_refused(store, made):
    manifest = json.loads((made.path / MANIFEST).read_text())
    (made.path / MANIFEST).write_text(json.dumps({**manifest, "key": "f" * 64}))
    with pytest.raises(ArtifactError, match="not the one in its name"):
        store.find("pretrain", KEY)


def test_facts_cannot_overwrite_what_the_store_writes(store):
    facts = {"key": "mine", "stage": "mine", "files": {}, "loss": 0.5}
    made = store.make("pretrain", KEY, write, facts)
    assert (made.key, made.stage, made.manifest["loss"]) == (KEY, "pretrain", 0.5)
    assert set(made.manifest["files"]) == {"model/weights", "notes.txt"}


@dataclass
class Source:
    path: str = unkeyed("a")
    digest: str = unkeyed("d")

    def fingerprint(self):
        return self.digest


@dataclass
class Stage:
    source: Source
    rate: float = 0.1
    log_every: int = unkeyed(10)


def key(stage="s", version=1, rate=0.1, log_every=10, path="a", digest="d", parents=("p", "q")):
    config = content(Stage(Source(path, digest), rate, log_every))
    return artifact_key(stage, version, config, list(parents))


@pytest.mark.parametrize("same", [{"log_every": 1}, {"path": "elsewhere"}, {"parents": ["p", "q"]}])
def test_a_key_does_not_change_with_what_cannot_change_the_bytes(same):
    assert key(**same) == key()


@pytest.mark.parametrize(
    "other",
    [
        {"stage": "t"},
        {"version": 2},
        {"rate": 0.2},
        {"digest": "e"},
        {"parents": ["p"]},
        {"parents": ["q", "p"]},
    ],
)
def test_a_key_changes_with_all_that_decides_the_bytes(other):
    assert key(**other) != key()
