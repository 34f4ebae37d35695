"""What can be chosen, read from the config tree itself: names of files, and their first comment."""

from __future__ import annotations

from pathlib import Path

from trivet.core.places import config_folder


def choices(group: str, extra: Path | None = None) -> dict[str, str]:
    """The options of a config group and the first line of each one's comment."""
    found: dict[str, str] = {}
    for root in (config_folder(), extra):
        for path in sorted((root / group).glob("*.yaml")) if root else []:
            found[path.stem] = _comment(path)
    return found


def listing(groups: list[str], extra: Path | None = None) -> str:
    """Groups and their options as lines for a help page."""
    lines: list[str] = []
    for group in groups:
        options = choices(group, extra)
        if options:
            lines.append(f"{group}:")
            width = max(map(len, options))
            lines += [f"  {name:<{width}}  {text}".rstrip() for name, text in options.items()]
    return "\n".join(lines)


def _comment(path: Path) -> str:
    """The first sentence of the comment a config begins with."""
    words: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if "@package" not in line:
            words.append(line.lstrip("# ").strip())
    return " ".join(words).split(". ")[0].rstrip(".")
