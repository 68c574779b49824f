"""What the README and the docstrings show is run."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import banking

ROOT = Path(__file__).parent.parent


def test_readme_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    texts, labels = banking(2, 20)
    names = {"texts": texts, "labels": labels, "corpus": texts}
    for block in blocks:
        exec(block, names)
    names["vec"].fit(texts, labels)
    search = names["search"].set_params(cv=2, estimator__lm__max_epochs=1, error_score="raise")
    search.set_params(estimator__clf__max_epochs=1).fit(texts, labels)
    for estimator in (names["pipe"], names["clf"], names["vec"], names["tuned"], search):
        assert set(estimator.predict(texts)) <= set(labels)


@pytest.mark.parametrize("name", ["language_model", "classifier", "text.rules", "datasets"])
def test_docstring_examples(name):
    module = importlib.import_module(f"sk_ulmfit.{name}")
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_tests_that_the_documentation_names_exist():
    named = re.findall(r"`(tests/\w+\.py)::(\w+)`", (ROOT / "docs/scikit-learn.md").read_text())
    assert len(named) > 30
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"


def test_results_page_is_in_step_with_its_files():
    command = [sys.executable, ROOT / "benchmarks" / "report.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
