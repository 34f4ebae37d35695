"""From a composed config to typed objects: unknown keys, wrong types and gaps end here.

A config node is a mapping with a `_target_`, the dotted path of a dataclass; its other keys are
that dataclass' fields. The dataclass stands beside the code it configures, checks its own
cross-field rules in `__post_init__` (raising ConfigError), and does its own work. There is no
registry: what can be imported can be configured, a class of the user's own too.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from trivet.core.errors import ConfigError, nearest

TARGET = "_target_"


def build(node: object, expected: Any = Any, path: str = "") -> Any:
    """Make the object that a config node describes; `path` is its place in the config."""
    if node == "???":
        raise ConfigError("a value is required here", where=path, fix=f"Set {path}=…")
    if get_origin(expected) in (Union, types.UnionType):
        return _build_union(node, get_args(expected), path)
    if isinstance(node, Mapping):
        return _build_mapping(typing.cast("Mapping[str, object]", node), expected, path)
    if isinstance(node, list):
        return _build_list(typing.cast("list[object]", node), expected, path)
    return _check_leaf(node, expected, path)


def _build_union(node: object, options: tuple[Any, ...], path: str) -> Any:
    if node is None:
        if type(None) in options:
            return None
        raise _wrong_type(node, Union[options], path)  # noqa: UP007
    rest = [option for option in options if option is not type(None)]
    if len(rest) == 1:
        return build(node, rest[0], path)
    named = [option for option in rest if _names(node, option, path)]
    if len(named) == 1:  # what is wrong with it is worth knowing
        return build(node, named[0], path)
    for option in rest:
        try:
            return build(node, option, path)
        except ConfigError:
            continue
    raise _wrong_type(node, Union[options], path)  # noqa: UP007


def _names(node: object, option: Any, path: str) -> bool:
    """Whether a node says by its _target_ that it is this option."""
    if not isinstance(node, Mapping) or TARGET not in node or not isinstance(option, type):
        return False
    return _fits(_locate(typing.cast("Any", node)[TARGET], path), option)


def _build_mapping(node: Mapping[str, object], expected: Any, path: str) -> Any:
    if TARGET in node:
        cls = _locate(node[TARGET], path)
        if expected is not Any and isinstance(expected, type) and not _fits(cls, expected):
            raise ConfigError(
                f"{node[TARGET]} is not a {expected.__name__}",
                where=path,
                fix=f"Choose a _target_ that is a {expected.__name__}",
            )
        return _build_dataclass(cls, node, path)
    if dataclasses.is_dataclass(expected):
        return _build_dataclass(expected, node, path)
    if expected is Any or get_origin(expected) is dict:
        value = get_args(expected)[1] if get_args(expected) else Any
        for key, item in node.items():
            if isinstance(item, Mapping) and TARGET not in item and _is_protocol(value):
                others = [str(other) for other in node if other != key]
                where = f"{path}.{key}" if path else str(key)
                raise ConfigError(
                    "there is nothing of that name", where=where, fix=nearest(key, others)
                )
        return {str(key): build(item, value, f"{path}.{key}") for key, item in node.items()}
    raise _wrong_type(node, expected, path)


def _build_dataclass(cls: Any, node: Mapping[str, object], path: str) -> Any:
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    values: dict[str, Any] = {}
    for key, item in node.items():
        if key == TARGET:
            continue
        where = f"{path}.{key}" if path else key
        if key not in fields:
            raise ConfigError("unknown key", where=where, fix=nearest(key, fields))
        values[key] = build(item, hints[key], where)
    for name, field in fields.items():
        has_default = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if name not in values and not has_default:
            where = f"{path}.{name}" if path else name
            raise ConfigError("a value is required here", where=where, fix=f"Set {where}=…")
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(error.what, where=_join(path, error.where), fix=error.fix) from None


def _build_list(node: list[object], expected: Any, path: str) -> Any:
    if expected is not Any and get_origin(expected) is not list:
        raise _wrong_type(node, expected, path)
    item = get_args(expected)[0] if get_args(expected) else Any
    return [build(value, item, f"{path}[{i}]") for i, value in enumerate(node)]


def _check_leaf(node: object, expected: Any, path: str) -> Any:
    if expected is Any:
        return node
    if get_origin(expected) is Literal:
        choices = get_args(expected)
        if node in choices and type(node) in {type(choice) for choice in choices}:
            return node
        fix = nearest(str(node), map(str, choices))
        raise ConfigError(f"{node!r} is not a choice", where=path, fix=fix)
    if expected is float and type(node) is int:
        return float(node)
    if expected is float and type(node) is float and not math.isfinite(node):
        raise ConfigError(f"{node} is not a finite number", where=path, fix="Set a finite one")
    if expected in (int, float, str, bool) and type(node) is expected:
        return node
    raise _wrong_type(node, expected, path)


def _locate(target: object, path: str) -> Any:
    name = str(target)
    module, _, attribute = name.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        fix = "Name a dataclass by its full dotted path"
        raise ConfigError(f"{name} cannot be imported ({error})", where=path, fix=fix) from None
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise ConfigError(f"{name} is not a dataclass", where=path)
    return cls


def _is_protocol(expected: Any) -> bool:
    return bool(getattr(expected, "_is_protocol", False))


def _fits(cls: type, expected: type) -> bool:
    if not _is_protocol(expected):
        return issubclass(cls, expected)
    members: set[str] = getattr(expected, "__protocol_attrs__", None) or {
        name for name in vars(expected) if callable(vars(expected)[name]) and name[0] != "_"
    }
    known = {field.name for field in dataclasses.fields(cls)}
    return all(name in known or hasattr(cls, name) for name in members)


def _wrong_type(node: object, expected: Any, path: str) -> ConfigError:
    name = getattr(expected, "__name__", None) or str(expected).replace("typing.", "")
    if get_origin(expected) is not None:
        name = str(expected).replace("typing.", "")
    fix = "Correct its type"
    if dataclasses.is_dataclass(expected):
        keys = [f"{path}.{field.name}" for field in dataclasses.fields(expected) if field.init]
        fix = f"Set a key of it: {', '.join(keys)}"
    return ConfigError(f"expected {name}, not {node!r}", where=path, fix=fix)


def _join(path: str, where: str) -> str:
    return f"{path}.{where}" if path and where else path or where


_IN_KEY = "trivet.in_key"


def unkeyed(default: Any = dataclasses.MISSING, *, factory: Callable[[], Any] | None = None) -> Any:
    """A field that cannot change a result (a path, a log interval), so no content key holds it."""
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata={_IN_KEY: False})
    return dataclasses.field(default=default, metadata={_IN_KEY: False})


def keyed(config: Any) -> dict[str, Any]:
    """The fields of a config dataclass that can change a result."""
    fields = [f for f in dataclasses.fields(config) if f.init and f.metadata.get(_IN_KEY, True)]
    return {field.name: getattr(config, field.name) for field in fields}


def content(value: Any) -> Any:
    """What of an object decides its results, as plain JSON: the ground of every content key.

    A dataclass gives its type and its fields, less the `unkeyed` ones; one that reads data adds
    what it read through a method `fingerprint()`.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out = {TARGET: f"{type(value).__module__}.{type(value).__qualname__}"}
        out |= {name: content(part) for name, part in keyed(value).items()}
        fingerprint = getattr(value, "fingerprint", None)
        if callable(fingerprint):
            out["fingerprint"] = content(fingerprint())
        return out
    if isinstance(value, Mapping):
        return {str(k): content(v) for k, v in typing.cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [content(item) for item in typing.cast("list[Any]", value)]
    return value
