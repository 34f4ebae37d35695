"""A language model behind a server, asked whether a document answers a query."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivet.core.errors import ConfigError
from trivet.core.schema import unkeyed
from trivet.retrieval.pairs import Pair
from trivet.retrieval.rerankers import TEMPLATE, check_template
from trivet.retrieval.server import Server

_SEEN = 20  # tokens whose likelihood a server tells


@dataclass
class EndpointYesNo:
    """Any server that answers OpenAI's chat requests with the likelihoods of its first token."""

    model: str
    """What the server calls the model."""
    url: str = unkeyed()
    """Such as http://127.0.0.1:8000/v1."""
    api_key_env: str | None = unkeyed(None)
    """The variable of the environment that holds the key."""
    template: str = TEMPLATE
    """What the model reads."""
    positive: str = "1"
    """The token that says relevant."""
    negative: str = "0"
    """The token that says irrelevant."""
    characters: int | None = None
    """Longer documents are cut at so many characters: only the server can count its tokens."""
    retries: int = unkeyed(5)
    """How often a request is sent again; the pause before doubles, from a second."""
    timeout: float = unkeyed(120.0)
    """Seconds until a request is given up."""

    def __post_init__(self) -> None:
        """An address, and a template with a place for each text."""
        check_template(self.template)
        Server(self.url, None)
        if self.characters is not None and self.characters < 1:
            raise ConfigError("must be at least 1, or null", where="characters")

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """The logarithm of how much likelier the one answer is than the other, for each pair.

        An answer that is not among the likeliest is taken to be as likely as the last of them.
        """
        server = Server(self.url, self.api_key_env, self.timeout, self.retries)
        return np.array([self._score(server, *pair) for pair in pairs], dtype=np.float32)

    def describe(self) -> dict[str, Any]:
        """The model, and what it is told."""
        told = {"template": self.template, "positive": self.positive, "negative": self.negative}
        facts = {"model": self.model, "characters": self.characters, "prompts": {}, "lengths": {}}
        return {"kind": "endpoint", **facts, **told}

    def _score(self, server: Server, query: str, document: str) -> float:
        before, _, rest = self.template.partition("{query}")
        between, _, after = rest.partition("{document}")
        text = f"{before}{query}{between}{document[: self.characters]}{after}"
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": _SEEN,
        }
        answer = server.post("chat/completions", body)
        try:
            top = json.loads(answer)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            found = {str(one["token"]).strip(): float(one["logprob"]) for one in reversed(top)}
            least = min(found.values())
        except (ValueError, LookupError, TypeError):
            what = "a chat model that tells likelihoods"
            raise server.misunderstood(answer, what) from None
        return found.get(self.positive, least) - found.get(self.negative, least)
