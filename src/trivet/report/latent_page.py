"""Latents as one HTML file that needs nothing else: search, Zipf's law, shares of kinds, cards.

Cards are data inside the file, made visible by its script as they are searched. The file stays
under BOUND bytes whatever the dictionary: latents are taken in the order that the seed drew them
in, until it is full, and the page says how many there are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from trivet.core.places import asset
from trivet.report.latent_curves import Curve
from trivet.report.latent_feature import Feature, told_share
from trivet.report.latent_figure import figure
from trivet.report.latent_kind import KINDS, SOURCE, Kind, Share, shares
from trivet.report.match_words import escape

BOUND = 2_900_000  # bytes of the whole file


@dataclass(frozen=True)
class Facts:
    """What the page says of where its figures come from."""

    model: str
    task: str
    documents: int
    latents: int  # in the dictionary
    alive: int  # that stand in some document
    seed: int
    rule: str
    read: str  # how the texts were read


def page(features: Sequence[Feature], curves: Sequence[Curve], facts: Facts) -> str:
    """The whole file."""
    parts = _parts(features, curves, facts)
    frame = len(_filled(parts, facts, "[]", 0).encode("utf-8", "replace"))
    entries: list[str] = []
    room = BOUND - frame - 64
    for one in features:
        entry = _entry(one)
        room -= len(entry.encode("utf-8", "replace")) + 2
        if room < 0:
            break
        entries.append(entry)
    return _filled(parts, facts, "[\n" + ",\n".join(entries) + "\n]", len(entries))


def _filled(parts: dict[str, str], facts: Facts, data: str, count: int) -> str:
    shown = (
        "all of them are here"
        if count == facts.alive
        else f"{count:,} are here, drawn by seed {facts.seed}"
    )
    lead = (
        f"{facts.latents:,} latents, of which {facts.alive:,} stand in some of the "
        f"{facts.documents:,} documents of {escape(facts.task)}; {shown}."
    )
    template = Template(_read("page.html"))
    return template.substitute(parts, lead=lead, data=data, count=f"{count:,}")


def _parts(features: Sequence[Feature], curves: Sequence[Curve], facts: Facts) -> dict[str, str]:
    return {
        "title": escape(f"Latent terms of {facts.model} · trivet sae explore"),
        "model": escape(facts.model),
        "figure": figure(curves, facts.documents),
        "curves": "".join(map(_curve, curves)),
        "kinds": _kinds(features),
        "rule": escape(facts.rule),
        "source": escape(SOURCE[0].upper() + SOURCE[1:]) + ". They are no target.",
        "told": _told(features),
        "options": "".join(
            f'<label><input type="checkbox" value="{i}" checked> {kind}</label>'
            for i, kind in enumerate(KINDS)
        ),
        "footer": escape(facts.read),
        "style": _read("style.css"),
        "script": _read("script.js"),
    }


def _curve(curve: Curve) -> str:
    name = f'<th scope="row"><i class="key"></i>{escape(curve.name)}</th>'
    count = f'<td class="num">{len(curve.frequencies):,}</td>'
    fit = curve.fit
    if fit is None:
        return f'<tr>{name}{count}<td colspan="4">{curve.said}</td></tr>'
    cells = [f"{fit.exponent:.2f}", f"{fit.low:.2f} to {fit.high:.2f}",
             f"{fit.first:,} to {fit.last:,}", f"{fit.r2:.2f}"]  # fmt: skip
    return f"<tr>{name}{count}" + "".join(f'<td class="num">{c}</td>' for c in cells) + "</tr>"


def _kinds(features: Sequence[Feature]) -> str:
    judged: list[Kind] = [one.judged for one in features if one.judged]
    said = shares(judged) if judged else []
    rows: list[str] = []
    for i, one in enumerate(shares([found.kind for found in features])):
        cells = _share(one) + (_share(said[i]) if said else "")
        rows.append(
            f'<tr><th scope="row">{one.kind}</th>{cells}'
            f'<td class="num soft">{one.published:.0%}</td></tr>'
        )
    judge = '<th scope="col" class="num" colspan="2">by a language model</th>' if said else ""
    return (
        '<table><thead><tr><th scope="col">kind</th><th scope="col" class="num" colspan="2">by the '
        f'rule, 95%</th>{judge}<th scope="col" class="num">published</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _share(one: Share) -> str:
    bar = f'<span class="bar" style="--v:{one.value:.3f}"></span>'
    return (
        f'<td class="num"><b>{one.value:.0%}</b>{bar}</td>'
        f'<td class="num soft">{one.low:.0%} to {one.high:.0%}</td>'
    )


def _told(features: Sequence[Feature]) -> str:
    scored = [one.area.value for one in features if one.area]
    if not scored:
        return "No latent stands in enough documents to be scored."
    high = sum(value >= 0.9 for value in scored) / len(scored)
    return (
        f"Mean {told_share(features):.2f} over {len(scored):,} latents; {high:.0%} of them reach "
        f".90, and .50 is chance. {len(features) - len(scored):,} stand in too few documents."
    )


def _entry(one: Feature) -> str:
    """A latent for the script, as short as it goes."""
    area = one.area
    value = {
        "n": one.latent,
        "d": one.frequency,
        "k": KINDS.index(one.kind),
        "j": KINDS.index(one.judged) if one.judged else None,
        "a": [round(v, 2) for v in (area.value, area.low, area.high)] if area else None,
        "f": round(one.forms, 1) if math.isfinite(one.forms) else None,
        "s": round(one.spread, 2) if math.isfinite(one.spread) else None,
        "t": [[token, round(share, 3)] for token, share in one.tokens],
        "c": [
            [c.document, c.place.before, c.place.token, c.place.after, round(c.weight, 2), c.drawn]
            for c in one.contexts
        ],
        "x": [
            [x.query, _short(x.asked), x.document, x.rank, x.without, round(x.share, 3), x.grade]
            for x in one.decisive
        ],
    }
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _short(text: str, letters: int = 110) -> str:
    return text if len(text) <= letters else text[:letters].rpartition(" ")[0] + "…"


def _read(name: str) -> str:
    return Path(asset("latents") / name).read_text(encoding="utf-8").strip()
