"""Importing the package is cheap: torch and skorch wait until an estimator is asked for."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ["torch", "skorch", "tokenizers", "safetensors", "matplotlib"]


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys\nprint(*(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import sk_ulmfit",
        "import sk_ulmfit; sk_ulmfit.__version__; dir(sk_ulmfit)",
        "from sk_ulmfit.datasets import load_banking77; load_banking77()",
    ],
)
def test_imports_nothing_heavy(statement):
    assert modules_after(statement).isdisjoint(HEAVY)


def test_package_alone_needs_no_scikit_learn():
    # No stopwatch: without these, there is nothing left that could take time.
    assert modules_after("import sk_ulmfit").isdisjoint([*HEAVY, "sklearn", "scipy", "numpy"])


def test_what_is_imported_is_declared():
    """Optional packages are imported inside functions, and are extras."""
    tops, anywhere = set(), set()
    for source in (ROOT / "sk_ulmfit").rglob("*.py"):
        tree = ast.parse(source.read_text("utf-8"))
        delayed = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names:
                anywhere.add(name)
                if id(node) not in delayed:
                    tops.add(name)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def modules(requirements):
        names = {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}
        return {{"scikit-learn": "sklearn"}.get(name, name) for name in names}

    core = modules(project["dependencies"])
    extras = modules(chain.from_iterable(project["optional-dependencies"].values()))
    assert tops - {"sk_ulmfit"} <= core <= anywhere, "needed and declared"
    assert anywhere - core - {"sk_ulmfit"} <= extras, "optional and declared"


def test_version_is_that_of_the_distribution():
    from importlib.metadata import version

    import sk_ulmfit

    assert sk_ulmfit.__version__ == version("sk-ulmfit")


def test_unknown_name():
    import sk_ulmfit

    with pytest.raises(AttributeError, match="no_such_name"):
        _ = sk_ulmfit.no_such_name


def test_public_names_exist():
    import sk_ulmfit

    for name in sk_ulmfit.__all__:
        assert getattr(sk_ulmfit, name) is not None
        assert name in dir(sk_ulmfit)
