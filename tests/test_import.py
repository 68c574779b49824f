"""Importing the package is cheap: torch and skorch wait until an estimator is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
