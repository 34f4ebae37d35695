"""`trivet export`: a model for other libraries and runtimes, with its card."""

from __future__ import annotations

import argparse
from pathlib import Path

_FORMATS = ("pylate", "sentence-transformers", "onnx", "sae-lens", "latent")


def run(argv: list[str]) -> int:
    """Load, write whole into a new folder, say what is there."""
    flags = _parser().parse_args(argv)

    from trivet.core.errors import ConfigError

    out = Path(flags.to).expanduser()
    if out.exists():
        raise ConfigError("is there already", where=f"--to {out}", fix="Name a new folder")

    from trivet.core.artifact import MANIFEST
    from trivet.core.card import write_card
    from trivet.core.files import read_json, whole_folder
    from trivet.models.export import export
    from trivet.report.of_model import of_model
    from trivet.retrieval.learned import identity, model_folder

    source = model_folder(flags.model, flags.revision)
    on_hub = "" if Path(flags.model).expanduser().is_dir() else flags.model
    known = (source / MANIFEST).is_file()
    manifest = read_json(source / MANIFEST) if known else {}
    results = ""
    if flags.ledger:
        results = of_model(Path(flags.ledger), str(identity(source)["model_key"]))
    with whole_folder(out) as aside:
        sae = Path(flags.sae).expanduser() if flags.sae else None
        export(source, aside, flags.format, fold=flags.fold, sae=sae)
        write_card(aside, manifest, results=results, base=on_hub)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    told = "; README.md says how to load it" if (out / "README.md").is_file() else ""
    print(f"{out}: {flags.format}, {size / 2**20:.1f} MiB{told}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trivet export",
        description="Write a model for other libraries, with a card that says how it was made. "
        "What trivet saves loads in PyLate and sentence-transformers as it is.",
    )
    parser.add_argument("model", metavar="MODEL", help="an artifact, a folder or a hub id")
    parser.add_argument("--to", required=True, metavar="FOLDER", help="a folder that is not there")
    parser.add_argument(
        "--format", required=True, choices=_FORMATS, help="pylate: ColBERT models that load where "
        "trivet is not installed; sentence-transformers: dense models, and ColBERT models for "
        "version 6; onnx: one graph, from tokens to vectors; sae-lens: an autoencoder alone; "
        "latent: a model with the autoencoder in --sae",
    )  # fmt: skip
    parser.add_argument("--sae", metavar="FOLDER", help="an autoencoder that SAELens saved")
    parser.add_argument("--ledger", help="put this ledger's rows of the model on its card")
    parser.add_argument("--fold", action="store_true", help="a linear head as one matrix")
    parser.add_argument("--revision", default="main", help="the hub revision (default main)")
    return parser
