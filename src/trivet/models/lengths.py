"""How much of a text a model reads."""

from __future__ import annotations

from typing import Any

from trivet.core.errors import ConfigError
from trivet.models.layout import position_limit
from trivet.models.tokens import Tokenizer


def read_longer(model: Any, lengths: dict[str, int]) -> None:
    """Set content lengths: as far as the encoder goes, not only as far as it has been used."""
    if not lengths:
        return
    tokenizer = model.tokenizer
    tokenizer.limit = position_limit(model.encoder)
    tokenizer.lengths |= lengths
    for side, length in tokenizer.lengths.items():
        if tokenizer.total(side) - tokenizer.specials < length:
            what = f"{length} content tokens do not fit the encoder's {tokenizer.limit} positions"
            raise ConfigError(what, where=f"lengths.{side}", fix="Take fewer")


def refuse_filling(tokenizer: Tokenizer) -> None:
    """Refuse a prompt that takes more than half of the room that there is for a text."""
    for side in tokenizer.lengths:
        left, room = tokenizer.room(side), tokenizer.room(side, "")
        if 2 * left < room:
            what = f"leaves {max(0, left)} of {room} content tokens"
            raise ConfigError(what, where=f"prompts.{side}", fix="Shorten it")
