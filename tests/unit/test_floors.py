"""Who may import whom: read from the source, so that an import inside a function counts too."""

import ast
from pathlib import Path

import pytest

import trivet

ROOT = Path(trivet.__file__).parent
FLOORS = {
    "core": 1,
    **dict.fromkeys(("data", "models", "losses", "optim"), 2),
    **dict.fromkeys(("training", "retrieval"), 3),
    **dict.fromkeys(("bench", "mining"), 4),
    **dict.fromkeys(("stages", "report"), 5),
    "sweep": 6,
    "cli": 7,
}
PYLATE_MAY = {"trivet.models.pylate_gated", "trivet.retrieval.plaid"}


def module_name(path, root=ROOT):
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported(name, tree, package, known):
    """The modules a file names; `from package import file` is that file."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            up = name.split(".") if package else name.split(".")[:-1]
            base = up[: len(up) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{start}.{alias.name}"
                found.add(whole if whole in known else start)
    return found


def edges():
    return {
        name: imported(name, ast.parse(path.read_text()), path.stem == "__init__", MODULES)
        for name, path in MODULES.items()
    }


EDGES = edges()


def room(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def wrong_floor(source, target):
    if not target.startswith("trivet.") or room(source) == room(target):
        return False
    return room(source) == "" or FLOORS[room(target)] >= FLOORS[room(source)]


def circle(graph):
    """One circle of a graph as a list of names, or None."""
    state = {}

    def visit(name, way):
        state[name] = "open"
        for other in sorted(graph.get(name, ())):
            if state.get(other) == "open":
                return [*way[way.index(other) :], other]
            if other not in state and (found := visit(other, [*way, other])):
                return found
        state[name] = "done"
        return None

    for name in sorted(graph):
        if name not in state and (found := visit(name, [name])):
            return found
    return None


def test_every_room_has_a_floor():
    rooms = {room(name) for name in MODULES} - {""}
    assert rooms <= FLOORS.keys()


def test_a_file_imports_only_lower_floors_and_its_own_room():
    wrong = [f"{a} -> {b}" for a in EDGES for b in EDGES[a] if wrong_floor(a, b)]
    assert wrong == []


def test_no_two_files_import_each_other_however_far_around():
    assert circle({a: {b for b in found if b in MODULES} for a, found in EDGES.items()}) is None


def test_every_import_of_trivet_names_a_file_that_exists():
    missing = [
        f"{a} -> {b}"
        for a, found in EDGES.items()
        for b in found
        if b.split(".")[0] == "trivet" and b not in MODULES
    ]
    assert missing == []


@pytest.mark.parametrize("banned, allowed", [("pylate", PYLATE_MAY), ("tests", set())])
def test_a_package_is_imported_only_where_it_may_be(banned, allowed):
    users = {a for a, found in EDGES.items() if banned in {b.split(".")[0] for b in found}}
    assert users <= allowed


@pytest.mark.parametrize(
    "source, target, wrong",
    [
        ("trivet.core.a", "trivet.data.b", True),
        ("trivet.data.a", "trivet.models.b", True),
        ("trivet.cli.a", "trivet.core.b", False),
        ("trivet.bench.a", "trivet.bench.b", False),
    ],
)
def test_the_rule_tells_up_from_down(source, target, wrong):
    assert wrong_floor(source, target) is wrong


def test_the_search_finds_a_circle_and_only_a_circle():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_an_import_inside_a_function_and_a_relative_one_count():
    tree = ast.parse("def f():\n    from ..data import table\n    from . import lock\n")
    known = {"trivet.data.table", "trivet.core.lock"}
    assert imported("trivet.core.files", tree, False, known) == known
