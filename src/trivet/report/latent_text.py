"""Latents for a terminal: scores first, then what there is to see."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from trivet.bench.auc import Area
from trivet.bench.table import table
from trivet.report.latent_feature import Feature, told_share
from trivet.report.latent_kind import SOURCE, Kind, shares
from trivet.report.latent_pair import Pair
from trivet.report.latent_reading import Place

_SHOWN = 100  # letters of a text that is only named
_TAIL, _HEAD = re.compile(r"\w+$"), re.compile(r"\w+")


def area(found: Area | None) -> str:
    """A score with its interval."""
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]" if found else "too few"


def score_table(features: Sequence[Feature]) -> str:
    """The automatic scores, with nothing beside them that could be named."""
    rows = [[str(one.latent), f"{one.frequency:,}", area(one.area)] for one in features]
    head = ["latent", f"of {features[0].documents:,} documents", "AUC [95%]"]
    return f"{table(head, rows)}\n{told_line(features)}"


def told_line(features: Sequence[Feature]) -> str:
    """The mean score."""
    scored = sum(one.area is not None for one in features)
    if not scored:
        return "none stands in enough documents to be scored"
    return f"mean AUC {told_share(features):.2f} over {scored:,} of {len(features):,} latents"


def card(one: Feature) -> str:
    """All that is told of a latent."""
    if not one.frequency:
        return f"latent {one.latent}: in none of {one.documents:,} documents"
    tokens = ", ".join(f"{token} {share:.0%}" for token, share in one.tokens)
    judged = f", and a language model says {one.judged}" if one.judged else ""
    spread = f", {one.spread:.2f} apart in meaning" if math.isfinite(one.spread) else ""
    lines = [
        f"latent {one.latent}: in {one.frequency:,} of {one.documents:,} documents, "
        f"AUC {area(one.area)}",
        f"  {one.kind}: {one.forms:.1f} tokens{spread}{judged}",
        f"  tokens: {tokens or 'none'}",
    ]
    for context in one.contexts:
        mark = "drawn" if context.drawn else ""
        lines.append(f"  {context.weight:7.2f} {mark:<5}  {_shown(context.place)}")
    for found in one.decisive:
        grade = " (relevant)" if found.grade > 0 else ""
        lines.append(
            f"  decisive: document {found.document}{grade} for query {found.query} "
            f'"{_short(found.asked)}": rank {found.rank} > {found.without} without it, '
            f"{found.share:.0%} of its score"
        )
    return "\n".join(lines)


def share_table(features: Sequence[Feature]) -> str:
    """The shares of the kinds with intervals, and the published ones."""
    rows: list[list[str]] = []
    judged: list[Kind] = [one.judged for one in features if one.judged]
    said = {one.kind: one for one in shares(judged)} if judged else {}
    for one in shares([one.kind for one in features]):
        row = [one.kind, f"{one.value:.0%} [{one.low:.0%}, {one.high:.0%}]"]
        if said:
            other = said[one.kind]
            row.append(f"{other.value:.0%} [{other.low:.0%}, {other.high:.0%}]")
        rows.append([*row, f"{one.published:.0%}"])
    head = ["kind", "by the rule [95%]", *(["by the judge [95%]"] if said else []), "published"]
    silent = len(features) - len(judged) if said else 0
    note = f"\nthe judge named no kind, or two, of {silent} latents" if silent else ""
    return f"{table(head, rows)}\n{SOURCE}; no target{note}"


def pair_text(found: Pair, most: int) -> str:
    """Why a document has the score it has."""
    if found.rank is None:
        return f"document {found.document} shares no latent with the query: it is not found"
    rows = [
        [
            str(part.latent),
            f"{part.value:.4f}",
            f"{part.share:.1%}",
            f"{part.frequency:,}",
            _words(part.query),
            _words(part.document),
        ]
        for part in found.parts[:most]
    ]
    rest = found.parts[most:]
    if rest:
        value, share = sum(part.value for part in rest), sum(part.share for part in rest)
        rows.append([f"{len(rest)} more", f"{value:.4f}", f"{share:.1%}", "", "", ""])
    rows.append([f"{len(found.parts)} latents", f"{found.score:.4f}", "100.0%", "", "", ""])
    head = ["latent", "part", "share", "documents", "in the query", "in the document"]
    return (
        f"query: {_short(found.query)}\n"
        f"document {found.document}, rank {found.rank} of {found.searched:,}: "
        f"{_short(found.text)}\n\n{table(head, rows)}"
    )


def _words(places: Sequence[Place]) -> str:
    """The words that tokens are pieces of, each once."""
    return ", ".join(dict.fromkeys(whole(place) for place in places))


def whole(place: Place) -> str:
    """The word that a token is a piece of, in lower case; a sign is alone."""
    token = place.token.strip()
    if not token.isalnum():
        return token
    before, after = _TAIL.search(place.before), _HEAD.match(place.after)
    return f"{before[0] if before else ''}{token}{after[0] if after else ''}".casefold()


def _shown(place: Place) -> str:
    return " ".join(f"{place.before}[{place.token.strip()}]{place.after}".split())


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else flat[:_SHOWN].rpartition(" ")[0] + "…"
