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


@pytest.fixture(scope="session")
def cards():
    """A function that makes so many latents' cards, texts with all that HTML trips over."""
    from trivet.bench.auc import Area
    from trivet.report.latent_decisive import Decisive
    from trivet.report.latent_feature import Context, Feature
    from trivet.report.latent_kind import KINDS
    from trivet.report.latent_reading import Place

    def one(i, length):
        word = _WORDS[i % len(_WORDS)]
        place = Place("</script><b> & 'a' ", word, " naïve \u2028 東京" + " word" * length)
        contexts = [Context(f"d{i}", place, 3.0 / (j + 1), j > 0) for j in range(2)]
        area = Area(0.5 + i % 5 / 10, 0.4, 0.95) if i % 7 else None
        spread = i % 11 / 10 if i % 13 else float("nan")
        fallen = [Decisive("q1", "<i>who</i>", f"d{i}", i % 2, 1, 1200, 0.31)] if i % 3 else []
        tokens = [(word, 0.6), ("other", 0.25)]
        return Feature(
            i, 1 + i * 3 % 100, 100, area, tokens, 2.5, spread, KINDS[i % 3], contexts, fallen
        )

    return lambda count, length=0: [one(i, length) for i in range(count)]


@pytest.fixture(scope="session")
def page_of():
    """A function that makes the page of some cards."""
    import numpy as np

    from trivet.bench.zipf import fit_zipf
    from trivet.report.latent_curves import Curve
    from trivet.report.latent_kind import Rule
    from trivet.report.latent_page import Facts, page

    def make(features, alive=None, splade=True):
        frequencies = np.rint(900 / np.arange(1, 401) ** 0.7).astype(int)
        fit = fit_zipf(frequencies)
        fit = type(fit)(**{**vars(fit), "low": fit.exponent - 0.1, "high": fit.exponent + 0.1})
        names = ["latents", "the corpus’ words", "SPLADE’s terms"][: 2 + splade]
        curves = [Curve(name, frequencies // (i + 1), fit) for i, name in enumerate(names)]
        facts = Facts("m<o>del", "zoo", 900, 4096, alive or len(features), 0, Rule().said, "read")
        return page(features, curves, facts)

    return make
