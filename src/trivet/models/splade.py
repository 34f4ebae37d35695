"""SPLADE: a masked language model says which terms a text is about, its own and others.

Formal et al., "SPLADE v2: Sparse Lexical and Expansion Model for Information Retrieval"
(https://arxiv.org/abs/2109.10086) and https://arxiv.org/abs/2205.04733. The weight of term v is the
largest log(1 + relu(logit of v)) over all tokens of the text, [CLS] and [SEP] among them, as in the
authors' code and in sentence-transformers.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trivet.core.errors import ArtifactError
from trivet.core.files import read_json
from trivet.core.machine import Precision
from trivet.core.ragged import Ragged
from trivet.models.layout import position_limit
from trivet.models.loading import load_masked_lm, load_tokenizer
from trivet.models.tokens import Tokenizer

_TERMS = 256  # fewer at a time make slow products


class SpladeModel(nn.Module):
    """An encoder with the whole head but for its last layer, and that layer: D to V."""

    def __init__(
        self, encoder: Any, last: nn.Linear, tokenizer: Tokenizer, *, logits: int = 1 << 20
    ) -> None:
        """`logits`: how many are held at once, texts times tokens times terms."""
        super().__init__()
        self.encoder, self.last = encoder, last
        self.tokenizer, self.logits = tokenizer, logits

    @property
    def vocabulary(self) -> int:
        """The number of terms."""
        return self.last.out_features

    @property
    def texts(self) -> int:
        """How many texts `forward` may take at once to stay within `logits`."""
        return max(1, self.logits // self.vocabulary)

    @property
    def tokens(self) -> int:
        """How many tokens it may take at once to stay within `logits`, and some terms at a time."""
        return max(1, self.logits // _TERMS)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def at(self, precision: Precision, device: str) -> SpladeModel:
        """A copy for encoding: in eval mode, its weights in the chosen precision."""
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        encoder, last = (copy.deepcopy(part).to(device, dtype) for part in self.children())
        return SpladeModel(
            encoder, cast("nn.Linear", last), self.tokenizer, logits=self.logits
        ).eval()

    def forward(self, tokens: Ragged) -> Tensor:
        """Weights of N texts, (N, V) in fp32, some terms at a time.

        The largest weight is that of the largest logit, so the logarithm is taken once.
        """
        ids, mask = tokens.to(self.device).pad(self.tokenizer.pad)  # (N, L), (N, L)
        full = bool(mask.all())
        hidden = self.encoder(
            input_ids=ids, attention_mask=None if full else mask.long()
        ).logits  # (N, L, D): what the last layer would have taken
        if not full:  # the first token again, which cannot change a maximum
            hidden = torch.where(mask[:, :, None], hidden, hidden[:, :1])
        best = torch.zeros(len(tokens), self.vocabulary, device=self.device)  # (N, V)
        step = max(1, self.logits // max(1, mask.numel()))
        whole = cast("Tensor | None", self.last.bias)
        for start in range(0, self.vocabulary, step):
            part = slice(start, start + step)
            bias = None if whole is None else whole[part]
            logits = F.linear(hidden, self.last.weight[part], bias)  # (N, L, step)
            best[:, part] = logits.amax(1).float()
        return torch.log1p(best.relu())


def load_splade(folder: Path) -> SpladeModel:
    """Read a model that transformers or sentence-transformers wrote."""
    _check_modules(folder)
    model, inner = load_masked_lm(folder), load_tokenizer(folder)
    longest = _read(folder / "sentence_bert_config.json").get("max_seq_length")
    limit = min(int(longest or position_limit(model)), position_limit(model))
    content = limit - int(inner.num_special_tokens_to_add())
    prompts = _read(folder / "config_sentence_transformers.json").get("prompts") or {}
    tokenizer = Tokenizer(
        inner,
        prompts={"query": "", "document": ""} | dict(prompts),
        lengths={"query": content, "document": content},
        limit=limit,
    )
    return split_head(model, tokenizer)


def split_head(model: Any, tokenizer: Tokenizer) -> SpladeModel:
    """Set the last layer of a masked language model apart; the model itself is changed."""
    last = model.get_output_embeddings()
    name = next((name for name, module in model.named_modules() if module is last), None)
    if not isinstance(last, nn.Linear) or name is None:
        what = f"a {model.config.model_type} does not show the last layer of its head"
        raise ArtifactError(what, fix="Use another architecture, such as BERT or DistilBERT")
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, nn.Identity())
    return SpladeModel(model, last, tokenizer)


def _check_modules(folder: Path) -> None:
    """Where sentence-transformers' own files say what is pooled, it must be this."""
    path = folder / "modules.json"
    for module in cast("list[dict[str, Any]]", read_json(path)) if path.is_file() else []:
        kind = str(module["type"]).rpartition(".")[2]
        if kind not in ("MLMTransformer", "SpladePooling"):
            fix = "Give a SPLADE model: MLMTransformer and SpladePooling"
            raise ArtifactError(f"it has a module {kind}", where=str(path), fix=fix)
        if kind == "SpladePooling":
            config = _read(folder / str(module["path"]) / "config.json")
            for key, only in (("pooling_strategy", "max"), ("activation_function", "relu")):
                if config.get(key, only) != only:
                    what = f"{key} is {config[key]}, and only {only} is computed here"
                    raise ArtifactError(what, where=str(folder))


def _read(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", read_json(path)) if path.is_file() else {}
