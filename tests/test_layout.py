"""The architecture that CONTRIBUTING.md draws, read off the imports in the source."""

from __future__ import annotations

import ast
import token
from collections.abc import Iterator
from graphlib import TopologicalSorter
from io import StringIO
from pathlib import Path
from tokenize import generate_tokens

import pytest

pytestmark = pytest.mark.one_version

PACKAGE = Path(__file__).resolve().parent.parent / "sk_ulmfit"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Parts of the package by height, lowest first. A part imports from its own height or below.
LAYERS = [
    {"_version", "_compat", "_forks", "_random", "_warnings", "files", "packing", "progress_bar"},
    {"modules", "text", "datasets", "schedules"},
    {"models", "pretrained", "callbacks"},
    {"documents", "calibration", "training", "_parameters", "serving"},
    {"_estimator", "_targets", "_start", "_sentences"},
    {"plotting"},
    {"range_test"},
    {"language_model", "_fine_tuning", "classifier"},
    {"explanation", "export", "persistence"},
]
HEIGHTS = {part: height for height, parts in enumerate(LAYERS) for part in parts}
ESTIMATORS = {"language_model", "_fine_tuning", "classifier"}
ABOVE_ESTIMATORS = LAYERS[-1]  # what is asked about fitted ones

# What every part may import.
COMMON = {"files", "_compat", "_warnings", "progress_bar"}

# What a part must not know of the world outside.
FOREIGN = {
    "files": {"torch", "skorch", "sklearn"},
    "progress_bar": {"torch", "skorch", "sklearn"},
    "models": {"skorch"},
    "modules": {"skorch", "sklearn"},
    "text": {"torch", "skorch"},
    "schedules": {"torch", "skorch", "sklearn"},
    "_forks": {"torch", "skorch", "sklearn"},
    "_random": {"torch", "skorch"},
    "_warnings": {"torch", "skorch", "sklearn"},
    "serving": {"torch", "skorch", "sklearn", "scipy", "safetensors", "joblib", "onnx"},
    "datasets": {"torch", "skorch"},
    "plotting": {"torch", "skorch"},
}

MAX_LINES = 400  # of code: without blanks, comments and docstrings


_NO_CODE = {
    token.COMMENT,
    token.NL,
    token.NEWLINE,
    token.INDENT,
    token.DEDENT,
    token.ENDMARKER,
}


def part_of(source: Path) -> str:
    """Name of the part that a file belongs to: "modules", "classifier", "" for the package."""
    name = source.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


def code_lines(source: Path) -> int:
    """Number of lines with code: no blanks, comments or docstrings."""
    text = source.read_text("utf-8")
    lines: set[int] = set()
    for found in generate_tokens(StringIO(text).readline):
        if found.type not in _NO_CODE:
            lines.update(range(found.start[0], found.end[0] + 1))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def imports(source: Path) -> Iterator[str]:
    """Full names of everything that a file imports, also inside of functions."""
    package = ("sk_ulmfit", *source.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imported_parts(source: Path) -> set[str]:
    """Parts of the package that a file imports from, "" for the package itself."""
    found = set()
    for name in imports(source):
        top, _, rest = name.partition(".")
        if top == "sk_ulmfit":
            part = rest.partition(".")[0]
            found.add(part if part in HEIGHTS else "")
    return found


def name_of(source: Path) -> str:
    return source.relative_to(PACKAGE).as_posix()


every_source = pytest.mark.parametrize("source", SOURCES, ids=name_of)


def test_reads_imports():
    # The tests below would pass if nothing were found.
    assert "schedules" in imported_parts(PACKAGE / "callbacks.py")
    assert "modules" in imported_parts(PACKAGE / "training" / "net.py")
    assert "sk_ulmfit.datasets._banking77.load_banking77" in imports(
        PACKAGE / "datasets" / "__init__.py"
    )


@every_source
def test_every_part_has_its_place(source):
    assert part_of(source) in {"", *HEIGHTS}, "give the new part a height in LAYERS"


@every_source
def test_imports_run_downward(source):
    part = part_of(source)
    if not part:
        return  # sk_ulmfit/__init__.py is above all
    upward = {p for p in imported_parts(source) if p and HEIGHTS[p] > HEIGHTS[part]}
    assert not upward
    assert "" not in imported_parts(source)


@every_source
def test_nothing_below_imports_estimators(source):
    if part_of(source) not in {"", *ESTIMATORS, *ABOVE_ESTIMATORS}:
        assert imported_parts(source).isdisjoint(ESTIMATORS)


def test_no_part_imports_in_circles():
    edges: dict[str, set[str]] = {part: set() for part in HEIGHTS}
    for source in SOURCES:
        if part := part_of(source):
            edges[part] |= imported_parts(source) - {part, ""}
    TopologicalSorter(edges).prepare()  # raises CycleError


def imported_files(source: Path) -> set[Path]:
    """Files of the package that a file imports, but for `sk_ulmfit/__init__.py`."""
    found = set()
    for name in imports(source):
        parts = name.split(".")
        if parts[0] != "sk_ulmfit":
            continue
        # What is imported is a file, or is in one, or in a folder's __init__.
        for end in (len(parts), len(parts) - 1):
            path = PACKAGE.joinpath(*parts[1:end])
            files = [path.with_suffix(".py"), path / "__init__.py"]
            existing = [file for file in files if file.is_file()]
            if existing:
                found.add(existing[0])
                break
    return found - {PACKAGE / "__init__.py", source}


def test_no_files_import_in_circles():
    edges = {source: imported_files(source) for source in SOURCES}
    assert edges[PACKAGE / "callbacks.py"] == {PACKAGE / "schedules.py"}
    TopologicalSorter(edges).prepare()  # raises CycleError, which names the files


@pytest.mark.parametrize("part", ["files", "packing", "modules", "text", "datasets", "schedules"])
def test_lowest_parts_know_nothing_of_the_package(part):
    for source in SOURCES:
        if part_of(source) == part:
            assert imported_parts(source) <= {part, *COMMON}, name_of(source)


def test_serving_knows_texts_files_and_packing_alone():
    assert imported_parts(PACKAGE / "serving.py") == {"text", "files", "packing"}


@pytest.mark.parametrize("part", FOREIGN)
def test_what_a_part_must_not_know(part):
    for source in SOURCES:
        if part_of(source) == part:
            tops = {name.partition(".")[0] for name in imports(source)}
            assert tops.isdisjoint(FOREIGN[part]), name_of(source)


@every_source
def test_a_file_holds_one_idea(source):
    n_lines = code_lines(source)
    assert n_lines <= MAX_LINES, f"{n_lines} lines: is there a second idea in it?"
