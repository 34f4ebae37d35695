"""A matplotlib SVG at a third of its size, with colours for light and for dark ground."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in a label
_PATH = {"d", "x", "y", "points"}


def slim(svg: bytes, dark: Mapping[str, str]) -> bytes:
    """The same picture: no metadata, no ids without a use, no empty groups, a tenth of a point.

    `dark`: what each colour becomes where dark pages are preferred.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    text = _NO_XML.sub("", svg.decode())
    root = ElementTree.fromstring(text)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    _prune(root, used)
    _classes(root, dark)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _classes(root: ElementTree.Element, dark: Mapping[str, str]) -> None:
    """Styles are said once, in a sheet, with the colours for dark ground after them."""
    names: dict[str, str] = {}
    for one in root.iter():
        style = one.attrib.pop("style", None)
        if style:
            one.set("class", names.setdefault(style, f"s{len(names)}"))
    rules = [f".{name}{{{style}}}" for style, name in names.items()]
    turned: list[str] = []
    for style, name in names.items():
        parts = [part for part in style.split(";") if any(colour in part for colour in dark)]
        text = ";".join(parts)
        for colour, other in dark.items():
            text = text.replace(colour, other)
        if text:
            turned.append(f".{name}{{{text}}}")
    sheet = ElementTree.Element(f"{{{_SVG}}}style")
    sheet.text = "".join(rules) + f"@media (prefers-color-scheme:dark){{{''.join(turned)}}}"
    root.insert(0, sheet)


def _prune(element: ElementTree.Element, used: set[str]) -> None:
    children: list[ElementTree.Element] = []
    for child in element:
        child.tail = None
        _prune(child, used)
        name = child.tag.rpartition("}")[2]
        if name == "metadata" or (name == "path" and child.get("style") == "fill:none"):
            continue
        if name in ("g", "defs") and not len(child):
            continue
        if name == "g" and not child.attrib:
            children += list(child)
        else:
            children.append(child)
    element[:] = children
    if element.text is not None and not element.text.strip():
        element.text = None
    for key, value in list(element.attrib.items()):
        if key == "id" and value not in used:
            del element.attrib[key]
        elif key in _PATH:
            short = re.sub(r"(\d+\.\d)\d+", r"\1", value).replace(".0 ", " ")
            element.set(key, re.sub(r"\s*\n\s*", "", short).strip())
        elif key == "transform" and value.startswith("rotate(-0 "):
            del element.attrib[key]
        elif key == "style":
            element.set(key, value.replace(": ", ":").replace("; ", ";"))
