import pytest

from trivet.core.artifact import Store
from trivet.core.errors import ArtifactError
from trivet.models.loading import load_tokenizer
from trivet.retrieval.learned import identity

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fox", "whale"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def key(folder):
    return identity(folder)["model_key"]


@pytest.mark.parametrize("name", ["vocab.txt", "vocab.json", "merges.txt", "spiece.model"])
def test_a_models_key_holds_its_vocabulary_whatever_file_it_is_in(folder, name):
    (folder / name).write_text("a\nb")
    before = key(folder)
    (folder / name).write_text("b\na")
    assert key(folder) != before


def test_files_that_are_not_read_do_not_change_the_key(folder):
    (folder / "tokenizer.json").write_text("{}")
    before = key(folder)
    (folder / "README.md").write_text("words")
    (folder / "vocab.txt").write_text("a")  # tokenizer.json says it all
    assert key(folder) == before


def test_a_folder_without_a_vocabulary_is_refused_and_not_read_as_an_empty_one(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    with pytest.raises(ArtifactError, match="no tokenizer's vocabulary"):
        load_tokenizer(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    assert load_tokenizer(tmp_path)("fox")["input_ids"] == [2, 5, 3]


def test_an_artifact_that_was_changed_has_no_identity(tmp_path):
    def write(folder):
        (folder / "tokenizer.json").write_text("{}")

    made = Store(tmp_path).make("stage", "ab" * 32, write, {})
    assert key(made.path) == "ab" * 32
    (made.path / "README.md").write_text("a card may be edited")
    assert key(made.path) == "ab" * 32
    (made.path / "tokenizer.json").write_text("[]")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is missing or was changed"):
        key(made.path)
    (made.path / "manifest.json").unlink()
    assert key(made.path) != "ab" * 32
