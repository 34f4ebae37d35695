"""A retriever of latent terms, and documents to search."""

import pytest

from trivet.core.machine import Machine
from trivet.core.records import Corpus
from trivet.retrieval.cache import Cache
from trivet.retrieval.latent import Latent

_WORDS = ["red", "apple", "green", "field", "blue", "sea", "deep", "grass", "owl", "fox", "hill"]
_WORDS += ["road", "whale", "stone", "river", "cloud"]


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
