"""What kind of term a latent is, said by a language model behind a server."""

from __future__ import annotations

import json
from dataclasses import dataclass

from trivet.core.errors import ConfigError
from trivet.core.schema import unkeyed
from trivet.report.latent_feature import Feature
from trivet.report.latent_kind import KINDS, Kind
from trivet.retrieval.server import Server

PROMPT = """\
A feature of a text retriever is active on the tokens in [[double brackets]] below. What kind is it?

lexical: one word or piece of a word, in any of its forms, whatever it means.
narrow semantic: one meaning, in whatever words it is said.
broad topical: words of all kinds, in texts about one subject.

Tokens by weight: {tokens}

{contexts}

Answer with the kind alone: lexical, narrow semantic or broad topical."""


@dataclass
class Judge:
    """Any server that answers OpenAI's chat requests."""

    model: str
    """What the server calls the model."""
    url: str = unkeyed()
    """Such as http://127.0.0.1:8000/v1."""
    api_key_env: str | None = unkeyed(None)
    """The variable of the environment that holds the key."""
    prompt: str = PROMPT
    """What the model reads."""
    retries: int = unkeyed(5)
    """How often a request is sent again; the pause before doubles, from a second."""
    timeout: float = unkeyed(120.0)
    """Seconds until a request is given up."""

    def __post_init__(self) -> None:
        """An address, and a prompt with a place for both."""
        Server(self.url, None)
        for name in ("{tokens}", "{contexts}"):
            if name not in self.prompt:
                raise ConfigError(f"must hold {name}", where="prompt")

    def kind(self, feature: Feature) -> Kind | None:
        """What the model says; it is given what a card shows, and no score.

        An answer that names no kind, or two, is none.
        """
        tokens = ", ".join(f"{token} {share:.0%}" for token, share in feature.tokens)
        lines = [
            f"- {one.place.before}[[{one.place.token}]]{one.place.after}"
            for one in feature.contexts
        ]
        text = self.prompt.replace("{tokens}", tokens).replace("{contexts}", "\n".join(lines))
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": 8,
            "temperature": 0,
        }
        again = "Start it, and run again"
        server = Server(self.url, self.api_key_env, self.timeout, self.retries, again=again)
        answer = server.post("chat/completions", body)
        try:
            said = str(json.loads(answer)["choices"][0]["message"]["content"]).casefold()
        except (ValueError, LookupError, TypeError):
            raise server.misunderstood(answer, "a chat model") from None
        found: list[Kind] = [kind for kind in KINDS if kind.split()[0] in said]
        return found[0] if len(found) == 1 else None
