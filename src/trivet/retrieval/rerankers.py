"""What scores a query and a document together: slower than a retriever, and better.

A cross-encoder reads both at once (Nogueira and Cho, https://arxiv.org/abs/1901.04085); a language
model is asked whether the document answers and its next token is read
(https://arxiv.org/abs/2506.03487).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trivet.core.errors import ConfigError
from trivet.core.layers import fast_layers
from trivet.core.machine import Machine, Precision
from trivet.core.ragged import Ragged
from trivet.core.schema import unkeyed
from trivet.models.cross_encoder import Cross, has_segments, pair_limit
from trivet.models.cross_layout import is_cross, load_cross
from trivet.models.loading import (
    load_causal,
    load_classifier,
    load_tokenizer,
    refuse_foreign,
)
from trivet.models.pair_tokens import PairTokenizer
from trivet.retrieval.learned import identity, model_folder
from trivet.retrieval.pairs import Pair, Pairs, score_pairs

TEMPLATE = """query: {query}
document: {document}
You judge search results. Weigh what the query asks against what the document says, then answer \
with one digit: 1 if the document is relevant to the query, 0 if it is not.
Relevance:"""


@runtime_checkable
class Reranker(Protocol):
    """Scores pairs of texts; a dataclass that holds its config and does its work."""

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """A number for each query and document, larger for the more relevant."""
        ...

    def describe(self) -> dict[str, Any]:
        """Everything of the reranker that a ledger row must hold."""
        ...


@dataclass
class _Model:
    """What all rerankers made of one transformer share."""

    model: str
    """A trivet artifact, a local folder, or a hub id; safetensors only."""
    revision: str = "main"
    """The hub revision."""
    precision: Precision = "fp32"
    """Of the model; scores are fp32 always."""
    max_length: int = 512
    """Tokens of a query and a document together, with all that stands around them."""
    machine: Machine = unkeyed(factory=Machine)
    """Where it runs."""
    _state: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)

    def __post_init__(self) -> None:
        """Room for a query and a document."""
        if self.max_length < 8:
            raise ConfigError("must be at least 8", where="max_length")

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """A number for each query and document."""
        state = self._ready()
        state["pairs"] += len(pairs)
        found = score_pairs(pairs, self._tokens, self._forward, state["budget"])
        state["truncated"] += found.truncated
        state["budget"] = found.budget
        return found.scores

    def describe(self) -> dict[str, Any]:
        """The model, its length, and what was cut."""
        state = self._ready()
        facts = {
            "model": self.model,
            **state["identity"],
            "precision": self.precision,
            "prompts": {},
            "lengths": {"pair": state["length"]},
        }
        if state["pairs"]:
            facts["truncated_pair_share"] = round(state["truncated"] / state["pairs"], 6)
        return facts

    def _ready(self) -> dict[str, Any]:
        """The model and its tokenizer, read at the first use."""
        if not self._state:
            folder = model_folder(self.model, self.revision)
            model, tokenizer = self._load(folder)
            dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
            device = self.machine.resolve()
            self._state |= {
                "model": model.to(device=device, dtype=dtype).eval(),
                "tokenizer": tokenizer,
                "device": device,
                "identity": identity(folder),
                "length": min(self.max_length, pair_limit(model)),
                "budget": self.machine.encode_tokens,
                "pairs": 0,
                "truncated": 0,
            }
        return self._state

    def _load(self, folder: Path) -> tuple[Any, Any]:
        """The model and its tokenizer."""
        raise NotImplementedError

    def _tokens(self, pairs: Sequence[Pair]) -> Pairs:
        raise NotImplementedError

    def _forward(self, pairs: Pairs) -> Tensor:
        raise NotImplementedError


@dataclass
class CrossEncoder(_Model):
    """An encoder with a classification head of one label; a score is its logit."""

    def use(self, model: Cross) -> None:
        """Score with a copy of a model that is in memory."""
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        device = self.machine.resolve()
        self._state |= {
            "model": copy.deepcopy(model.model).to(device=device, dtype=dtype).eval(),
            "tokenizer": model.tokenizer,
            "device": device,
            "identity": {"model_key": None, "in_domain": [], "trained_on": None},
            "length": model.tokenizer.total,
            "budget": self.machine.encode_tokens,
            "pairs": 0,
            "truncated": 0,
        }

    def describe(self) -> dict[str, Any]:
        """The model, its length, and what was cut."""
        facts = {"kind": "cross-encoder", **super().describe()}
        tokenizer = self._ready()["tokenizer"]
        if isinstance(tokenizer, PairTokenizer):
            facts["lengths"] = {"pair": tokenizer.total, **tokenizer.lengths}
        return facts

    def _load(self, folder: Path) -> tuple[Any, Any]:
        if not is_cross(folder):
            classifier, inner = load_classifier(folder), load_tokenizer(folder)
            refuse_foreign(inner, int(classifier.config.vocab_size), str(folder))
            return classifier, inner
        model = load_cross(folder)
        refuse_foreign(model.tokenizer.inner, int(model.model.config.vocab_size), str(folder))
        model.tokenizer.limit = min(self.max_length, model.tokenizer.limit)
        return model.model, model.tokenizer

    def _tokens(self, pairs: Sequence[Pair]) -> Pairs:
        """Query and document as two segments.

        A pair that is too long loses tokens of the longer one; trivet's models cut each side.
        """
        state = self._ready()
        queries, documents = [query for query, _ in pairs], [document for _, document in pairs]
        if isinstance(state["tokenizer"], PairTokenizer):
            found = state["tokenizer"](queries, documents)
            ids, types = (Ragged(found.ids.values[:, i], found.ids.offsets) for i in (0, 1))
            return Pairs(ids, types if has_segments(state["model"]) else None, found.truncated)
        out = state["tokenizer"](
            queries,
            documents,
            truncation="longest_first",
            max_length=state["length"],
            return_attention_mask=False,
        )
        truncated = sum(bool(encoding.overflowing) for encoding in out.encodings)
        return Pairs.of(out["input_ids"], out.get("token_type_ids"), truncated)

    @torch.inference_mode()
    def _forward(self, pairs: Pairs) -> Tensor:
        state = self._ready()
        inner = getattr(state["tokenizer"], "inner", state["tokenizer"])
        ids, mask = pairs.ids.pad(int(inner.pad_token_id or 0))  # (B, L)
        inputs = {"input_ids": ids, "attention_mask": mask.long()}
        if pairs.types is not None:
            inputs["token_type_ids"] = pairs.types.pad()[0]
        inputs = {name: value.to(state["device"]) for name, value in inputs.items()}
        with fast_layers():
            return state["model"](**inputs).logits[:, 0]  # (B,)


@dataclass
class CausalYesNo(_Model):
    """A causal language model that is asked for a 1 or a 0; a score is logit(1) - logit(0)."""

    max_length: int = 8192
    """Tokens in all; a query takes at most three quarters, a document what is left."""
    template: str = TEMPLATE
    """What the model reads."""
    chat: bool = True
    """Whether the template is put into the model's own chat form, where it has one."""
    positive: str = "1"
    """The token that says relevant."""
    negative: str = "0"
    """The token that says irrelevant."""

    def __post_init__(self) -> None:
        """A template with a place for each text, the query's first."""
        super().__post_init__()
        check_template(self.template)

    def describe(self) -> dict[str, Any]:
        """The model, its length, what it is told, and what was cut."""
        told = {name: getattr(self, name) for name in ("template", "chat", "positive", "negative")}
        return {"kind": "causal", **super().describe(), **told}

    def _load(self, folder: Path) -> tuple[Any, Any]:
        return load_causal(folder), load_tokenizer(folder)

    def _tokens(self, pairs: Sequence[Pair]) -> Pairs:
        """The line of each text is tokenized by itself, and cut by itself."""
        before, query, between, document, after = self._pieces()
        length = self._ready()["length"]
        around = len(before) + len(between) + len(after)
        if around >= length // 4:
            what = f"{length} tokens leave no room beside the template's {around}"
            raise ConfigError(what, where="max_length", fix=f"Set {4 * around + 4} or more")
        queries = self._ids([query.replace("{query}", pair[0]) for pair in pairs])
        documents = self._ids([document.replace("{document}", pair[1]) for pair in pairs])
        rows: list[list[int]] = []
        truncated = 0
        for asked, told in zip(queries, documents, strict=True):
            kept = asked[: length * 3 // 4]
            room = length - around - len(kept)
            truncated += len(kept) < len(asked) or room < len(told)
            rows.append([*before, *kept, *between, *told[:room], *after])
        return Pairs.of(rows, None, truncated)

    @torch.inference_mode()
    def _forward(self, pairs: Pairs) -> Tensor:
        state = self._ready()
        ids, mask = pairs.left()  # (B, L)
        with fast_layers():
            out = state["model"](
                input_ids=ids.to(state["device"]),
                attention_mask=mask.long().to(state["device"]),
                position_ids=(mask.cumsum(1) - 1).clamp(min=0).to(state["device"]),
                use_cache=False,
                logits_to_keep=1,
            )
        last = out.logits[:, -1].float()  # (B, V)
        yes, no = (self._token(word) for word in (self.positive, self.negative))
        return last[:, yes] - last[:, no]

    def _pieces(self) -> tuple[list[int], str, list[int], str, list[int]]:
        """The template as tokens and, as text, the lines of query and document up to their end."""
        if "pieces" not in self._ready():
            tokenizer, text = self._state["tokenizer"], self.template
            if self.chat and tokenizer.chat_template:
                chat = [{"role": "user", "content": text}]
                text = tokenizer.apply_chat_template(
                    chat, tokenize=False, add_generation_prompt=True
                )
            found = re.split(r"([^\n]*\{query\}|[^\n]*\{document\})", text)
            tokens = self._ids([found[0], found[2], found[4]])
            self._state["pieces"] = (tokens[0], found[1], tokens[1], found[3], tokens[2])
        return self._state["pieces"]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        tokenizer = self._ready()["tokenizer"]
        return tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]

    def _token(self, word: str) -> int:
        ids = self._ids([word])[0]
        if len(ids) != 1:
            what = f"{word!r} is {len(ids)} tokens to this model, it must be one"
            raise ConfigError(what, where="positive, negative")
        return ids[0]


def check_template(template: str) -> None:
    """Refuse a template without a place for each text, the query's first."""
    if not re.fullmatch(r"[^{}]*\{query\}[^{}]*\n[^{}]*\{document\}[^{}]*", template):
        fix = "Hold {query} on one line and {document} on a later one, each once"
        raise ConfigError("lacks a place for a text", where="template", fix=fix)
