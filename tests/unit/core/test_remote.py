import json
import threading

import pytest

from trivet.core.artifact import Store, artifact_key
from trivet.core.errors import ConfigError, TrivetError
from trivet.core.remote import Remote


@pytest.fixture
def remote(request):
    return Remote(f"memory://{request.node.name}")


def made(root, remote, text="a"):
    key = artifact_key("pretrain", 1, {}, [])

    def write(folder):
        (folder / "sub").mkdir()
        (folder / "sub/text").write_text(text)

    return Store(root, remote).make("pretrain", key, write, {}), key


def test_what_one_machine_made_another_finds(tmp_path, remote):
    artifact, key = made(tmp_path / "a", remote)
    found = Store(tmp_path / "b", remote).find("pretrain", key)
    assert found.manifest == artifact.manifest
    assert (found.path / "sub/text").read_text() == "a"
    assert Store(tmp_path / "c", Remote("memory://elsewhere")).find("pretrain", key) is None


def test_of_two_who_made_the_same_one_whole_artifact_is_found(tmp_path, remote):
    _, key = made(tmp_path / "a", remote, "a" * 1000)
    made(tmp_path / "b", remote, "b" * 500)
    found = Store(tmp_path / "c", remote).find("pretrain", key)  # its digests are verified
    assert (found.path / "sub/text").read_text() == "a" * 1000


def test_an_artifact_whose_last_object_was_not_written_is_not_there(tmp_path, remote, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Remote, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "a", remote)
    key = artifact_key("pretrain", 1, {}, [])
    assert Store(tmp_path / "b", remote).find("pretrain", key) is None
    assert Store(tmp_path / "a").find("pretrain", key) is not None  # here it is whole


def test_a_changed_object_is_refused_and_leaves_nothing(tmp_path, remote):
    _, key = made(tmp_path / "a", remote)
    fs, root = remote._place
    (path,) = fs.glob(f"{root}/files/*/*/sub/text")
    fs.pipe_file(path, b"other")
    store = Store(tmp_path / "b", remote)
    store.root.mkdir()
    with pytest.raises(TrivetError, match="is missing or was changed"):
        store.find("pretrain", key)
    assert list(store.root.iterdir()) == []


def test_many_who_fetch_at_once_get_one(tmp_path, remote):
    _, key = made(tmp_path / "a", remote)
    store, found = Store(tmp_path / "b", remote), []
    workers = [
        threading.Thread(target=lambda: found.append(store.find("pretrain", key))) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 8 and all(found)
    assert [path.name for path in store.root.iterdir()] == [found[0].path.name]


def test_rows_are_objects_of_their_own_and_come_in_the_order_of_their_times(tmp_path, remote):
    (tmp_path / "s.json").write_text("{}")
    assert list(remote.rows()) == []
    for number in (2, 1, 3):
        row = {"id": f"{number}", "time": f"t{number}", "per_query": "s.json", "ranking": "s.json"}
        remote.add_row(row, tmp_path)
    assert [row["id"] for row in remote.rows()] == ["1", "2", "3"]
    remote.fetch("s.json", tmp_path / "there" / "s.json")
    assert json.loads((tmp_path / "there" / "s.json").read_text()) == {}


def test_a_place_that_nothing_here_speaks_is_refused_in_one_line():
    with pytest.raises(ConfigError, match="machine.remote=nosuch://a: cannot be reached"):
        next(Remote("nosuch://a").rows())
