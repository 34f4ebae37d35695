"""Rules that every file of the library keeps."""

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import trivet

ROOT = Path(trivet.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
HEAVY = ("torch", "transformers", "datasets", "numpy", "pyarrow", "hydra", "pylate", "accelerate")
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|Users|root|work|tmp|mnt|data|scratch|workspace)/\w")
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def name(path):
    return path.relative_to(ROOT).as_posix()


def length(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def offences(text):
    """What a file does that no file may: load pickles, in whatever spelling."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in PICKLES]
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".")[0]
            found += [module] if module in PICKLES else []
            found += ["torch.load" for a in node.names if (module, a.name) == ("torch", "load")]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            found.append("torch.load")
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found += [] if ast.unparse(node.value) == "False" else ["allow_pickle"]
    return found


def test_no_file_is_over_three_hundred_lines():
    assert {name(path): length(path) for path in FILES if length(path) > 300} == {}


def test_the_median_file_is_short():
    assert statistics.median(length(path) for path in FILES) <= 150


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_is_unpickled(path):
    assert offences(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load ('a')",
        "from torch import load",
        "np.load('a', allow_pickle=True)",
    ],
)
def test_the_search_for_pickles_finds_each_spelling(text):
    assert len(offences(text)) == 1


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_path_of_one_machine_stands_in_the_source(path):
    assert MACHINE_PATH.findall(path.read_text(encoding="utf-8")) == []


def test_the_search_for_paths_tells_a_home_from_a_module_and_an_address():
    assert MACHINE_PATH.search('open("/home/ann/x")') and MACHINE_PATH.search("'/tmp/x'")
    assert not MACHINE_PATH.search("https://example.org/home/ann")
    assert not MACHINE_PATH.search("/proc/cpuinfo")


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_module_says_what_it_is(path):
    assert (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=name)
def test_a_package_imports_nothing_by_itself(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]


def test_the_packages_together_load_nothing_heavy():
    packages = [
        ".".join(("trivet", *path.parent.relative_to(ROOT).parts))
        for path in FILES
        if path.name == "__init__.py"
    ]
    code = f"import sys, {', '.join(packages)}\nprint(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
