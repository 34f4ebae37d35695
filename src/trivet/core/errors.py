"""Errors a user can cause: one line that says what happened, where, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST = 12  # names in a hint


class TrivetError(Exception):
    """A mistake that the user can mend. The command line prints it in one line and exits with 2."""

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        """Join the parts to one line: where it happened, what happened, what to do."""
        self.what, self.where, self.fix = what, where, fix
        line = f"{where}: {what}" if where else what
        super().__init__(" ".join(f"{line}. {fix}".split()) if fix else " ".join(line.split()))


class ConfigError(TrivetError):
    """A config that cannot be run: an unknown key, a wrong type, an impossible pair."""


class DataError(TrivetError):
    """Data that cannot be trusted: a broken line, a missing column, an id that names nothing."""


class UnreachableError(DataError):
    """The hub is switched off or does not answer: what is asked of it may well be there."""


class ArtifactError(TrivetError):
    """A folder that is not a finished artifact, or not the one it says it is."""


class NotComparable(TrivetError):
    """Numbers that were not measured in one way; comparing them would mislead. Exits with 3."""

    exit_code = 3


class NotReproduced(TrivetError):
    """A number that did not come out again. Exits with 3."""

    exit_code = 3


class Interrupted(TrivetError):
    """A run that was asked to stop, saved its state and can go on; exits as its signal would."""

    def __init__(self, what: str, *, signal: int, fix: str = "") -> None:
        """Remember which signal asked, for the exit code (128 + signal)."""
        super().__init__(what, fix=fix)
        self.exit_code = 128 + signal


class GivenUp(TrivetError):
    """A run of a sweep that was ended early, being worse than most were by then. Exits with 4."""

    exit_code = 4

    def __init__(self, what: str, *, value: float) -> None:
        """Remember the last value: it is what a sweeper is told."""
        super().__init__(what)
        self.value = value


class RanksFailed(TrivetError):
    """A run of several processes, one of which failed and said why; exits as that one did."""

    def __init__(self, code: int) -> None:
        """Remember the exit status."""
        super().__init__("a rank ended the run", fix="Its own line stands above")
        self.exit_code = code


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint for a mistyped name: the nearest ones, else all there are."""
    names = sorted(set(names))
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    if len(names) > _MOST:
        return f"There is: {', '.join(names[:_MOST])}, … ({len(names)} in all)"
    return f"There is: {', '.join(names)}" if names else "There is none"
