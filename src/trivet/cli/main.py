"""The commands. Nothing heavy is imported before a command is known and its words are read."""

from __future__ import annotations

import importlib
import sys
import traceback
from io import TextIOWrapper

from trivet.core.errors import TrivetError, nearest

_COMMANDS = {
    "train": ("trivet.cli.train", "run a recipe: stages in order, each made once"),
    "sweep": ("trivet.cli.sweep", "say how far a sweep is, run again what is missing, cancel it"),
    "eval": ("trivet.cli.eval", "measure a retriever on a bench; rows go to the ledger"),
    "mine": ("trivet.cli.mine", "mine hard negatives for pairs, or keep the consistent pairs"),
    "score": ("trivet.cli.score", "let a reranker score each query's documents, to learn from"),
    "sizes": ("trivet.cli.sizes", "measure a dense model at fewer dimensions and fewer bits"),
    "sae": ("trivet.cli.sae", "train a sparse autoencoder, and look into its latent terms"),
    "explain": ("trivet.cli.explain", "show which query token matched which document token"),
    "report": ("trivet.cli.report", "print rows of a ledger side by side, or write them as a site"),
    "watch": ("trivet.cli.watch", "serve that site; it follows the runs that are going on"),
    "compare": ("trivet.cli.compare", "test rows of a ledger against a baseline, with intervals"),
    "export": ("trivet.cli.export", "write a model for another library, such as PyLate or SAELens"),
    "impacts": ("trivet.cli.impacts", "write learned terms' weights for Seismic"),
    "cache": ("trivet.cli.cache", "list the vectors that are kept, or delete them"),
    "doctor": ("trivet.cli.doctor", "say what works on this machine, and what does not"),
}


def main(argv: list[str] | None = None) -> int:
    """`trivet COMMAND …`."""
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] == "--version":
        from trivet import __version__

        print(f"trivet {__version__}")
        return 0
    return _run(words[0], words[1:])


def train() -> int:
    """`train …`, the short form of `trivet train …`."""
    return _run("train", sys.argv[1:])


def evaluate() -> int:
    """`eval …`, the short form of `trivet eval …`."""
    return _run("eval", sys.argv[1:])


def _run(command: str, words: list[str]) -> int:
    debug = "--debug" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no "…" shows "?"
    try:
        if command not in _COMMANDS:
            raise TrivetError(f"no command {command}", fix=nearest(command, _COMMANDS))
        module = importlib.import_module(_COMMANDS[command][0])
        code = int(module.run([word for word in words if word != "--debug"]))
        sys.stdout.flush()
        return code
    except TrivetError as error:
        if debug:
            traceback.print_exc()
        print(f"trivet: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("trivet: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141
    except Exception as error:
        line = _of_the_system(error)
        if line is None or debug:
            raise
        print(f"trivet: {line}", file=sys.stderr)
        return 2


def _of_the_system(error: Exception) -> str | None:
    """One line for what the system refuses: a full disk, a read-only folder, no permission."""
    text = str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror or text}"
    elif type(error).__name__ != "SafetensorError":  # its cause is such a one, told in words
        return None
    full = "No space left" in text
    return f"{text}. {'Free some space' if full else 'Choose another place, or make it writable'}"


def _help() -> str:
    width = max(map(len, _COMMANDS))
    rows = [f"  {name:<{width}}  {text}" for name, (_, text) in _COMMANDS.items()]
    return "\n".join(
        [
            "usage: trivet COMMAND …",
            "",
            "Train and evaluate small neural retrievers.",
            "",
            *rows,
            "",
            "trivet COMMAND --help says more. --debug shows the traceback of an error.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
