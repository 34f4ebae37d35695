"""A small model with a sparse autoencoder, random but for its seed, and documents to search."""

import pytest

from trivet.core.machine import Machine
from trivet.core.places import asset
from trivet.core.records import Corpus
from trivet.models.backbone import Fresh
from trivet.models.latent import Latent as Model
from trivet.models.latent import save_latent
from trivet.models.loading import load_tokenizer
from trivet.models.sae import TopK
from trivet.models.tokens import Tokenizer
from trivet.retrieval.cache import Cache
from trivet.retrieval.latent import Latent

_SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "initializer_range": 0.5,
}
_WORDS = ["red", "apple", "green", "field", "blue", "sea", "deep", "grass", "owl", "fox", "hill"]
_WORDS += ["road", "whale", "stone", "river", "cloud"]


@pytest.fixture(scope="session")
def latent_folder(tmp_path_factory):
    """Its folder: 40 latents, 3 of which make up a token."""
    encoder, _ = Fresh(_SHAPE, seed=0).load()
    inner = load_tokenizer(asset("tokenizers/bert-base-uncased"))
    lengths, prompts = {"query": 16, "document": 24}, {"query": "", "document": ""}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=32)
    sae = TopK(16, 40, 3)
    sae.draw(0)
    folder = tmp_path_factory.mktemp("latent")
    save_latent(Model(encoder, sae, tokenizer).eval(), folder)
    return str(folder)


@pytest.fixture
def latent(latent_folder):
    """A function that makes a retriever of latent terms."""

    def make(**options):
        off = {"machine": Machine("cpu"), "cache": Cache(use=False)}
        return Latent(latent_folder, **off, **options)

    return make


@pytest.fixture(scope="session")
def texts():
    """A hundred documents of a few words each, and one of words that nobody else has."""
    import numpy as np

    generator = np.random.default_rng(0)
    found = [" ".join(generator.choice(_WORDS, 3 + i % 9)) + "." for i in range(99)]
    found.append("<b>Xylophone</b> & 'quartz'; naïve 東京 \"zinc\".")
    return Corpus([f"d{i}" for i in range(100)], [""] * 100, found)
