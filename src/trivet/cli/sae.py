"""`trivet sae`: train a sparse autoencoder, inspect its latents, make a page of them."""

from __future__ import annotations

import importlib

from trivet.core.errors import ConfigError, TrivetError, nearest

_COMMANDS = {
    "train": ("trivet.cli.train", "a recipe with a stage `sae`: trivet sae train +exp=latent_demo"),
    "inspect": ("trivet.cli.sae_inspect", "what latents stand for, and what of a score is whose"),
    "explore": ("trivet.cli.sae_explore", "all latents as one HTML page that needs no network"),
}


def run(argv: list[str]) -> int:
    """Hand the words to one of the three."""
    if not argv or argv[0] in ("-h", "--help"):
        width = max(map(len, _COMMANDS))
        print("usage: trivet sae COMMAND …\n\nA sparse autoencoder's latents as terms.\n")
        print("\n".join(f"  {name:<{width}}  {said}" for name, (_, said) in _COMMANDS.items()))
        print("\ntrivet sae COMMAND --help says more.")
        return 0
    command, words = argv[0], argv[1:]
    if command not in _COMMANDS:
        raise TrivetError(f"no command sae {command}", fix=nearest(command, _COMMANDS))
    if command == "train" and not {"-h", "--help"} & set(words):
        _check(words)
    return int(importlib.import_module(_COMMANDS[command][0]).run(words))


def _check(words: list[str]) -> None:
    """A recipe must be named: none is better than any other."""
    if not any(word.startswith("+exp=") for word in words):
        fix = "Write trivet sae train +exp=latent_demo, or a recipe of yours with a stage sae"
        raise ConfigError("a recipe is required", where="+exp", fix=fix)
