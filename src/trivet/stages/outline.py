"""The whole recipe on paper: every source and every value of every stage, nothing opened yet.

Read from the typed configs, whatever their stage. Counts of rows are those that publishers and the
recipe's report give (`Source.rows`, `Family.rows`); nothing is downloaded to show them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.stages.plan import Step

_Sources = list[tuple[str, Mixture | list[Source]]]


def outline(steps: list[Step]) -> list[str]:
    """Each stage of a plan: its values, its sources in order, its rows and steps."""
    out: list[str] = []
    for step in steps:
        if step.action == "skip":
            continue
        out += ["", *described(step.name, step.stage)]
    return out


def described(name: str, config: Any) -> list[str]:
    """One config: its values, its sources and what makes them, its rows and steps."""
    found: _Sources = []
    values = list(_values(config, "", found))
    out = [f"{name}: {_name(config)}", *_columns(values)]
    for path, sources in found:
        flat = _flat(sources)
        shown = [row for one in flat for row in _rows(one)]
        out += [f"  {path}, in order:", *_columns(shown, 4)]
        out += [f"  {one.name} is made by: {one.made_by}" for one in flat if one.made_by]
        if isinstance(sources, Mixture):
            out += _totals(sources, getattr(config, "fit", None))
    return out


def _values(config: Any, path: str, found: _Sources) -> Iterator[tuple[str, str]]:
    """Every field as (dotted path, value); sources are set aside."""
    for field in dataclasses.fields(config):
        if not field.init:
            continue
        value, where = getattr(config, field.name), f"{path}{field.name}"
        if isinstance(config, Mixture) and field.name in ("sources", "families"):
            if field.name == "sources":
                found.append((where, config))
        elif isinstance(value, Source):
            found.append((where, [value]))
        elif isinstance(value, list) and any(isinstance(one, Source) for one in _any(value)):
            found.append((where, cast("list[Source]", value)))
        else:
            yield from _value(value, where, found)


def _value(value: Any, where: str, found: _Sources) -> Iterator[tuple[str, str]]:
    parts: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        parts = [(str(key), part) for key, part in cast("Mapping[Any, Any]", value).items()]
    elif isinstance(value, list):
        parts = [(str(i), part) for i, part in enumerate(_any(value))]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield where, _name(value)
        yield from _values(value, f"{where}.", found)
    elif any(dataclasses.is_dataclass(part) for _, part in parts):
        for key, part in parts:
            yield from _value(part, f"{where}.{key}", found)
    else:
        bare = isinstance(value, str) and value.strip() == value != ""
        yield where, str(value) if bare else json.dumps(value)


def _row(source: Source) -> tuple[str, ...]:
    """What a source is, in one line."""
    origin = source.beir or source.path or f"the tokens of {source.tokens}"
    if source.hub is not None:
        subset = f", {source.subset}" if source.subset else ""
        origin = f"{source.hub}{subset} at {source.revision}"
    columns = json.dumps(source.columns.mapping()) if source.beir is None else "-"
    prompts = json.dumps(source.prompts) if source.prompts else "the model's prompts"
    plain = source.kind == "texts" and source.columns.id is None
    marks = f", each a {source.side}" if plain else ""
    marks += ", found by id" if source.columns.id is not None else ""
    marks += ", one sentence a row" if source.sentences else ""
    marks += ", in-domain" if source.in_domain else ""
    return source.name, f"{origin}, {source.split}", _count(source) + marks, columns, prompts


def _rows(source: Source) -> list[tuple[str, ...]]:
    """A source, and where the texts are that it names."""
    texts = [_row(one) for one in source.named_texts().values()]
    return [_row(source), *((f"> {name}", *rest) for name, *rest in texts)]


def _count(source: Source) -> str:
    """Rows, the share that is taken, and what that makes."""
    count = "rows not counted" if source.rows is None else f"{source.rows:,} rows"
    share = "" if source.share is None else f" x {source.share}"
    limit = "" if source.limit is None else f", the first {source.limit:,}"
    known = source.expected is not None and (share or limit)
    return count + share + limit + (f" = {source.expected:,}" if known else "")


def _totals(mixture: Mixture, fit: Any) -> Iterator[str]:
    """The sums, by family and in all, as far as rows are counted."""
    groups = {name: (family.sources, family.rows) for name, family in mixture.families.items()}
    within = {id(one) for sources, _ in groups.values() for one in sources}
    groups[""] = ([one for one in mixture.sources if id(one) not in within], None)
    batch = fit.batch if fit else 1
    small = [one.name for one in mixture.sources if (one.expected or batch) < batch]
    left_out = set(small) if mixture.skip_small else set[str]()
    rows = steps = reported = 0
    missing: list[str] = []
    about = ""
    for name, (sources, published) in groups.items():
        sources = [one for one in sources if one.name not in left_out]
        counted = [one.expected for one in sources if one.expected is not None]
        here, batches = sum(counted), sum(count // batch for count in counted)
        found = f"{here:,} here in {len(sources)} sources"
        if len(counted) < len(sources) and published is not None:  # the rest, as it was reported
            found = f"{here:,} counted here in {len(sources)} sources, the rest taken as published"
            here, batches, about = published, batches + (published - here) // batch, "about "
        elif len(counted) < len(sources):
            missing.append(name or "the sources")
        if name:
            said = "not published" if published is None else f"{published:,} rows published"
            yield f"  family {name}: {said}, {found}"
        rows, steps = rows + here, steps + batches
        reported += here if published is None else published
    if left_out:
        yield f"  left out, for less than one batch: {', '.join(small)}"
    if missing:
        most = [one.limit if one.expected is None else one.expected for one in mixture.sources]
        bound = "" if None in most else f"; at most {sum(one or 0 for one in most):,} rows"
        yield f"  rows and steps: known when {', '.join(missing)} have been read{bound}"
        return
    yield f"  rows: {about}{rows:,}" + (f" of {reported:,} published" if reported != rows else "")
    if fit:
        total = steps * mixture.epochs // fit.accumulate
        total = total if fit.steps is None else min(total, fit.steps)
        epochs = f", {mixture.epochs} epochs" if mixture.epochs > 1 else ""
        yield f"  steps: {about}{total:,} of {batch * fit.accumulate:,} rows{epochs}"


def _flat(sources: Mixture | list[Source]) -> list[Source]:
    return sources.sources if isinstance(sources, Mixture) else sources


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _any(value: object) -> list[Any]:
    return cast("list[Any]", value)


def _columns(rows: list[Any], indent: int = 2) -> list[str]:
    """Rows of cells, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) for row in rows]
    return [(" " * indent + line).rstrip() for line in lines]
