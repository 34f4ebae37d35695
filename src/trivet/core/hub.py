"""The Hugging Face hub, its failures told in one line each."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from trivet.core.errors import DataError, UnreachableError

_MODEL_FILES = ["*.safetensors", "*.json", "*.txt", "*.model"]


def hub_model(repo: str, revision: str = "main") -> Path:
    """A model's folder in the local cache, downloaded if need be; safetensors only."""
    return hub_files("model", repo, revision, _MODEL_FILES)


def hub_files(
    kind: Literal["model", "dataset"], repo: str, revision: str, patterns: list[str]
) -> Path:
    """The folder in the local cache with those files of a repository."""
    from huggingface_hub import snapshot_download

    with hub_failures(kind, repo, revision):
        folder = snapshot_download(repo, repo_type=kind, revision=revision, allow_patterns=patterns)
    return Path(folder)


def resolve_dataset(repo: str, revision: str) -> str:
    """The commit that a dataset's revision names; a full commit hash needs no network."""
    if len(revision) == 40 and set(revision) <= set("0123456789abcdef"):
        return revision
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE

    ref = Path(HF_HUB_CACHE) / ("datasets--" + repo.replace("/", "--")) / "refs" / revision
    if offline() and ref.is_file():
        return ref.read_text(encoding="utf-8").strip()
    with hub_failures("dataset", repo, revision):
        commit = str(HfApi().dataset_info(repo, revision=revision, timeout=_timeout()).sha)
    # the loader is given the commit, so nothing else remembers for offline use what it was called
    ref.parent.mkdir(parents=True, exist_ok=True)
    aside = ref.with_name(f".{ref.name}.{os.getpid()}.part")
    aside.write_text(commit, encoding="utf-8")
    aside.replace(ref)
    return commit


def hub_dataset(repo: str, subset: str | None, split: str, commit: str) -> Any:
    """A dataset's rows by the real loader: downloaded to its own cache, then read from there."""
    import datasets
    from datasets.exceptions import DatasetGenerationError, DatasetsError

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    where = f"dataset {repo} (revision {commit})"
    with hub_failures("dataset", repo, commit):
        try:
            found = datasets.load_dataset(repo, subset, split=split, revision=commit)
        except DatasetGenerationError as error:  # it says nothing itself
            why = str(error.__cause__ or error).splitlines()[0]
            fix = "Get the files by hand and give them as path"
            raise DataError(f"its rows cannot be read ({why})", where=where, fix=fix) from None
        except (DatasetsError, ValueError) as error:  # no such repository, split, configuration
            raise DataError(str(error).splitlines()[0], where=where) from None
    files = [Path(str(item["filename"])) for item in found.cache_files]
    if any(commit not in path.parts for path in files):  # without a hub the loader takes any
        raise DataError(
            "only another revision is in the local cache",
            where=where,
            fix="Connect to the hub, or name that revision",
        )
    return found


def offline() -> bool:
    """Whether the user said that there is no network."""
    return os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE")


def _timeout() -> float:
    return float(os.environ.get("HF_HUB_ETAG_TIMEOUT", "10"))


@contextmanager
def hub_failures(kind: str, repo: str, revision: str) -> Generator[None]:
    """Turn whatever the loaders raise into one line: what was wanted, why not, what to do."""
    import httpx
    from huggingface_hub import errors as hub
    from huggingface_hub.utils import logging as hub_logging

    hub_logging.set_verbosity_error()  # every retry is a warning; the line below says it once
    where = f"{kind} {repo} (revision {revision})"
    by_hand = (
        "Or give a local folder instead of a hub id"
        if kind == "model"
        else "Or get the files by hand and give them as path"
    )
    try:
        yield
    except hub.GatedRepoError:
        raise DataError(
            "its owner asks for a licence to be accepted", where=where, fix="Log in: hf auth login"
        ) from None
    except hub.RevisionNotFoundError:
        raise DataError("the hub has no such revision", where=where, fix=by_hand) from None
    except (hub.RepositoryNotFoundError, hub.HFValidationError):
        what = f"neither a folder here nor a {kind} on the hub"
        raise DataError(what, where=where, fix=by_hand) from None
    except (hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled):
        state = (
            "the hub is switched off (HF_HUB_OFFLINE)" if offline() else "the hub cannot be reached"
        )
        raise UnreachableError(
            f"{state} and it is not in the local cache", where=where, fix=by_hand
        ) from None
    except (httpx.HTTPError, hub.HfHubHTTPError, TimeoutError, ConnectionError) as error:
        if offline():
            what = "the hub is switched off (HF_HUB_OFFLINE) and it is not in the local cache"
            raise UnreachableError(what, where=where, fix=by_hand) from None
        what = f"the hub does not answer ({type(error).__name__})"
        raise UnreachableError(what, where=where, fix=f"Try again. {by_hand}") from None
