"""`trivet sae`: what is printed of latents, of a query and a document, and what goes wrong."""

import json
import re

import pytest

WORDS = ["red", "apple", "green", "field", "blue", "sea", "deep", "grass", "owl", "fox", "hill"]


@pytest.fixture(scope="session")
def splade_folder(tmp_path_factory):
    """A random BERT with its head, as transformers saves it."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    from trivet.core.places import asset
    from trivet.models.loading import load_tokenizer

    folder = tmp_path_factory.mktemp("splade")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    model = BertForMaskedLM(BertConfig(**shape, num_attention_heads=2, initializer_range=0.3))
    model.save_pretrained(folder)
    load_tokenizer(asset("tokenizers/bert-base-uncased")).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def bench(zoo):
    """Sixty documents, two queries."""
    corpus = [
        {"_id": f"d{i}", "text": " ".join(WORDS[(i * j + j) % 11] for j in range(1, 5 + i % 5))}
        for i in range(60)
    ]
    return zoo(corpus, qrels="q1\td1\t1\nq2\td2\t1\n")


def test_drawn_latents_are_scored_before_anything_is_named(trivet, latent_folder, bench):
    words = ["--model", latent_folder, "--bench", bench, "--sample", 3]
    status, out, err = trivet("sae", "inspect", *words)
    assert status == 0, err
    numbers = re.findall(r"^\| (\d+) +\|", out, re.M)
    assert len(numbers) == 3
    assert re.findall(r"^latent (\d+): in", out, re.M) == numbers
    assert out.index("AUC [95%]") < out.index("tokens:")
    assert re.search(r"^3 latents drawn by seed 0, of \d+ that stand in some document", out)
    assert "33%" in out and "published, arXiv 2605.29384" in out and "no target" in out
    assert trivet("sae", "inspect", *words)[1] == out
    other = trivet("sae", "inspect", *words, "--seed", 1)[1]
    assert re.findall(r"^latent (\d+): in", other, re.M) != numbers


def test_a_latent_as_json_is_what_the_documents_hold(trivet, latent_folder, bench):
    words = ["--model", latent_folder, "--bench", bench, "--json"]
    words += ["look.documents=20", "look.least=8"]
    drawn = json.loads(trivet("sae", "inspect", *words, "--sample", 5)[1])
    assert (drawn["latents"], drawn["documents"], drawn["task"]) == (40, 60, "zoo")
    one = next(found for found in drawn["features"] if found["area"])
    again = json.loads(trivet("sae", "inspect", *words, "--latent", one["latent"])[1])
    assert again["features"] == [one]
    assert sum(share for _, share in one["tokens"]) <= 1 + 1e-9
    assert {"drawn", "weight", "place", "document"} == set(one["contexts"][0])
    assert one["area"]["low"] <= one["area"]["value"] <= one["area"]["high"]


def test_a_pair_adds_up_to_its_score(trivet, latent_folder, bench):
    words = ["--model", latent_folder, "--bench", bench, "retriever.idf=lucene"]
    out = trivet("sae", "inspect", *words, "--query", "q1", "--document", "d9", "--json")[1]
    found = json.loads(out)
    assert found["query"] == "fox" and found["document"] == "d9"
    assert sum(part["share"] for part in found["parts"]) == pytest.approx(1, abs=1e-6)
    assert sum(part["value"] for part in found["parts"]) == pytest.approx(found["score"], rel=1e-6)
    status, out, err = trivet("sae", "inspect", *words, "--query", "q1", "--document", "d9")
    assert status == 0, err
    assert f"document d9, rank {found['rank']} of 60" in out
    assert f"{found['score']:.4f} | 100.0%" in out
    out = trivet("sae", "inspect", *words, "--query", "q1", "--document", "d9", "--top", 1)[1]
    assert f"{len(found['parts']) - 1} more" in out


def test_texts_that_are_typed_are_searched_with_the_bench(trivet, latent_folder, bench):
    words = ["--model", latent_folder, "--bench", bench, "--json", "retriever.idf=lucene"]
    typed = ["--query", "a blue owl", "--document", "blue owl on a hill"]
    found = json.loads(trivet("sae", "inspect", *words, *typed)[1])
    assert (found["document"], found["searched"]) == ("typed-1", 61)
    assert found["text"] == "blue owl on a hill" and found["parts"]


def test_sae_train_is_train(trivet):
    status, out, _ = trivet("sae", "train", "+exp=latent_demo", "--dry-run")
    assert status == 0 and re.search(r"^run +sae ", out, re.M)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sae", "inspct"], "no command sae inspct. Did you mean inspect?"),
        (["sae", "train", "seed=1"], "+exp: a recipe is required. Write trivet sae train +exp="),
        (["inspect"], "one of three is asked for. Say --latent"),
        (["inspect", "--latent", "1", "--sample", "2"], "one of three is asked for"),
        (["inspect", "--query", "q1"], "a query and a document go together"),
        (["inspect", "--sample", "0"], "--sample: must be at least 1"),
        (["inspect", "--latent", "40"], "no latent 40. There are 0 to 39"),
        (
            ["inspect", "--latent", "1", "look.wndow=3"],
            "look.wndow: unknown key. Did you mean wind",
        ),
        (["inspect", "--latent", "1", "rule.forms=0"], "rule.forms: must be at least 1"),
        (["inspect", "--latent", "1", "--bench", "beir"], "26 tasks in the bench. Choose one with"),
    ],
)
def test_a_mistake_is_told_in_one_line(trivet, latent_folder, bench, words, said):
    if words[0] != "sae":
        words = ["sae", words[0], "--model", latent_folder, "--bench", bench, *words[1:]]
    status, _, err = trivet(*words)
    assert status == 2 and said in err.strip().splitlines()[-1], err


def test_a_latent_of_no_document_is_of_no_kind(trivet, latent_folder, zoo):
    words = ["--model", latent_folder, "--bench", zoo([{"_id": "a", "text": "owl"},
             {"_id": "b", "text": "owl"}])]  # fmt: skip
    for latent in range(40):
        status, out, err = trivet("sae", "inspect", *words, "--latent", latent)
        assert status == 0, err
        if f"latent {latent}: in none of 2 documents" in out:
            assert "lexical" not in out and "tokens" not in out
            return
    raise AssertionError("two words activate all forty latents")


def test_a_dictionary_that_is_measured_as_a_dense_model_says_so(trivet, latent_folder, bench):
    words = ["eval", "--bench", bench, "--model", latent_folder]
    assert "--retriever latent searches by the terms" in trivet(*words)[2]
    for named in ("dense", "latent"):
        assert "holds a dictionary" not in trivet(*words, "--retriever", named)[2]


def test_a_model_without_an_autoencoder_is_told_in_one_line(trivet, model, bench):
    status, _, err = trivet("sae", "inspect", "--model", model, "--bench", bench, "--sample", 1)
    assert status == 2 and "holds no sparse autoencoder" in err.strip().splitlines()[-1]


def test_a_page_is_written_with_the_curves_of_words_and_splade(
    trivet, latent_folder, bench, splade_folder, tmp_path
):
    words = ["--model", latent_folder, "--bench", bench, "--splade", splade_folder]
    status, out, err = trivet("sae", "explore", *words, "--out", tmp_path / "a" / "b.html")
    assert status == 0, err
    page = (tmp_path / "a" / "b.html").read_text(encoding="utf-8")
    assert out.strip().endswith("b.html") and "SPLADE’s terms: " in out
    assert page.count('class="key"') == 3 and '"x":[' in page
    few = trivet("sae", "explore", *words[:4], "--latents", 2, "--out", tmp_path / "few.html")
    assert few[0] == 0, few[2]
    page = (tmp_path / "few.html").read_text(encoding="utf-8")
    assert "2 are here, drawn by seed 0" in page and page.count('class="key"') == 2
