"""What the README and the docstrings show is run."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel, load
from sk_ulmfit.training import amount
from tests.helpers import banking

pytestmark = pytest.mark.one_version

ROOT = Path(__file__).parent.parent


GUIDE = sorted(f"docs/guide/{page.name}" for page in (ROOT / "docs" / "guide").glob("[!i]*.md"))


PAGES = sorted(f"{page.relative_to(ROOT)}" for page in (ROOT / "docs").glob("*.md"))
PAGES = [page for page in PAGES if page != "docs/results.md"]
EXAMPLES = sorted(f"examples/{page.name}" for page in (ROOT / "examples").glob("plot_*.py"))

# A parameter's value, where a page says that it is the default.
SAID_TO_BE_DEFAULT = [
    r"`(\w+)=([^`]+)`,? (?:the|by)\sdefault",
    r"default,? (?:is |with )?`(\w+)=([^`]+)`",
    r"^`(\w+)=([^`]+)`[^\n]*\n: ",  # a list of what the defaults are
]


def code_of(page: str) -> list[str]:
    """Blocks of Python on a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


def run_page(page: str, names: dict) -> int:
    """Run a page's code from top to bottom in one namespace, and check what it shows.

    Blocks of "python" are run. Those of "pycon" are sessions, whose output has to be as shown
    (``...`` stands for anything). Returns how many blocks there were.
    """
    text = (ROOT / page).read_text()
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    blocks = list(re.finditer(r"^```(python|pycon)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    for block in blocks:
        kind, code = block.groups()
        line = text[: block.start(2)].count("\n")
        if kind == "python":
            exec(compile("\n" * line + code, page, "exec"), names)
        else:
            session = doctest.DocTestParser().get_doctest(code, names, page, page, line)
            session.globs = names  # what a session defines, the next block sees
            said: list[str] = []
            failed, _ = runner.run(session, out=said.append, clear_globs=False)
            assert failed == 0, "".join(said)
    return len(blocks)


@pytest.fixture(autouse=True)
def no_figure_left_open():
    """Pages draw figures; other tests see to it that ours are unknown to pyplot."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def offline(monkeypatch):
    """No connection to anywhere."""

    def refuse(self, address):
        raise OSError(f"The network is cut: no connection to {address}.")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def fewer_epochs(monkeypatch):
    """Where a page does not say how often to pass over the texts, a few times are enough here."""
    monkeypatch.setitem(ULMFiTLanguageModel.__init__.__kwdefaults__, "max_epochs", 1)
    monkeypatch.setitem(ULMFiTClassifier.__init__.__kwdefaults__, "max_epochs", 3)


def test_readme_code_runs_without_a_network(tmp_path, monkeypatch, offline):
    monkeypatch.chdir(tmp_path)
    fewer_epochs(monkeypatch)
    blocks = code_of("README.md")
    assert len(blocks) == 4
    texts, labels = banking(2, 20)
    names = {"texts": texts, "labels": labels, "corpus": texts}
    for block in blocks:
        exec(block, names)
    names["vec"].fit(texts, labels)
    search = names["search"].set_params(cv=2, error_score="raise")
    search.set_params(estimator__clf__max_epochs=1).fit(texts, labels)
    for estimator in (names["pipe"], names["clf"], names["vec"], names["tuned"], search):
        assert set(estimator.predict(texts)) <= set(labels)


@pytest.mark.parametrize("page", ["docs/index.md", *GUIDE])
def test_code_of_the_guide_runs(page, tmp_path, monkeypatch, offline):
    monkeypatch.chdir(tmp_path)
    fewer_epochs(monkeypatch)
    texts, labels = banking(3, 24)
    names = {"__name__": "__main__"}
    names |= {"texts": texts[:60], "labels": labels[:60]}
    names |= {"test_texts": texts[60:], "test_labels": labels[60:]}
    assert run_page(page, names) >= (1 if page == "docs/index.md" else 3)


def test_a_page_that_shows_what_is_not_so_fails(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Text.\n\n```python\na = 1\n```\n\n```pycon\n>>> a + 1\n3\n```\n")
    with pytest.raises(AssertionError, match=r"Expected:\s+3\s+Got:\s+2"):
        run_page(str(page), {})


def test_code_about_pretraining_runs(tmp_path, monkeypatch, offline):
    monkeypatch.chdir(tmp_path)
    texts, _ = banking(2, 20)
    (tmp_path / "my-corpus").mkdir()
    (tmp_path / "my-corpus" / "shard.txt").write_text("\n\n".join(texts), encoding="utf-8")
    blocks = [block for block in code_of("docs/pretraining.md") if "wt103" not in block]
    assert len(blocks) == 2
    names = {"corpus": texts, "ULMFiTLanguageModel": ULMFiTLanguageModel}
    for block in blocks:
        exec(block, names)
    assert load("my-language-model").perplexity(texts) < 100
    assert (tmp_path / "runs" / "my-language-model" / "forward.pt").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "language_model",
        "classifier",
        "explanation.explaining",
        "text.rules",
        "text.alignment",
        "datasets",
    ],
)
def test_docstring_examples(name):
    module = importlib.import_module(f"sk_ulmfit.{name}")
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


@pytest.mark.parametrize("page", ["scikit-learn.md", "reliability.md"])
def test_tests_that_the_documentation_names_exist(page):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / page).read_text())
    assert len(named) > 25
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"


def test_results_page_is_in_step_with_its_files():
    command = [sys.executable, ROOT / "benchmarks" / "report.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_pages_say_of_a_default_what_it_is():
    estimators = ULMFiTClassifier(), ULMFiTLanguageModel()
    said = {}
    for page in ["README.md", *PAGES, *GUIDE, *EXAMPLES]:
        text = (ROOT / page).read_text().replace("\n# ", "\n").replace("``", "`")
        for pattern in SAID_TO_BE_DEFAULT:
            said |= {(page, *found): 0 for found in re.findall(pattern, text, re.MULTILINE)}
        assert not re.search(r"defaults?\W[^.`]*\b\d+\b[^.]*epoch", text), f"{page}: use a link"
    assert len(said) >= 9
    for page, name, value in said:
        defaults = [e.get_params(deep=False)[name] for e in estimators if hasattr(e, name)]
        assert ast.literal_eval(value) in defaults, f"{page}: {name}={value}"


def test_guide_and_docstrings_tell_how_much_is_trained():
    guide = " ".join((ROOT / "docs" / "guide" / "stages.md").read_text().split())
    longer = amount.FINE_TUNING_EPOCHS
    assert f"fewer than {amount._FEW_TEXTS} labelled texts" in guide
    assert f"or {amount._FEW_TEXTS_A_CLASS} a class" in guide
    assert f"is fine-tuned for {amount.EPOCHS_BELOW_SENTENCES} epochs" in guide
    assert f"without such layers, one of your own say, is fine-tuned for {longer}" in guide
    many = f"({amount.EPOCHS_OF_MANY} from {amount.MANY_TEXTS:,} labels on)"
    assert f"the classifier for {amount.CLASSIFIER_EPOCHS} from a random head {many}" in guide
    described = " ".join(ULMFiTLanguageModel.__doc__.split())
    assert f'"auto": {longer}, or {amount.EPOCHS_BELOW_SENTENCES} if it has layers' in described
    described = " ".join(ULMFiTClassifier.__doc__.split())
    few = f"{amount.CLASSIFIER_EPOCHS} for more, {amount.EPOCHS_OF_MANY} from {amount.MANY_TEXTS:,}"
    assert few in described


@pytest.mark.parametrize("estimator", [ULMFiTClassifier, ULMFiTLanguageModel])
def test_every_parameter_has_one_place_in_the_guide(estimator):
    page = (ROOT / "docs" / "guide" / "parameters.md").read_text()
    tables = re.findall(rf"```{{parameters}} {estimator.__name__}\n(.*?)```", page, re.DOTALL)
    listed = " ".join(tables).split()
    assert sorted(listed) == sorted(estimator._get_param_names()), "docs/guide/parameters.md"


@pytest.mark.parametrize(
    ("typed", "page"),
    [
        ("ONNX", "docs/guide/serving.md"),
        ("FastAPI", "docs/guide/serving.md"),
        ("int8", "docs/guide/serving.md"),
        ("German", "docs/guide/another_language.md"),
        ("multilingual", "docs/guide/another_language.md"),
        ("mislabelled", "examples/plot_13_similar_texts.py"),
        ("mislabeled", "examples/plot_13_similar_texts.py"),
        ("duplicates", "examples/plot_13_similar_texts.py"),
        ("unlabelled", "docs/guide/few_labels.md"),
        ("semi-supervised", "docs/guide/few_labels.md"),
        ("logging", "docs/guide/hardware.md"),
        ("time budget", "docs/guide/hardware.md"),
        ("overfitting", "docs/guide/parameters.md"),
        ("confidence", "docs/guide/explanations.md"),
        ("offline", "docs/install.md"),
        ("commercial", "docs/licences.md"),
        ("BERT", "docs/index.md"),
        ("deploy", "docs/index.md"),
        ("proxy", "docs/install.md"),
    ],
)
def test_a_search_for_the_words_that_people_type_finds_the_page(typed, page):
    assert typed.lower() in " ".join((ROOT / page).read_text().lower().split())


def test_api_reference_lists_every_public_name():
    page = (ROOT / "docs" / "api" / "index.rst").read_text()
    listed = {f"sk_ulmfit.{name}" for name in re.findall(r"^   ([a-zA-Z_.]+)$", page, re.MULTILINE)}
    listed |= set(re.findall(r"^\.\. data:: (\S+)$", page, re.MULTILINE))
    modules = sorted({name.rpartition(".")[0] for name in listed})
    assert len(modules) > 8
    for module in map(importlib.import_module, modules):
        for name in module.__all__:
            at_top = f"sk_ulmfit.{name}"
            assert f"{module.__name__}.{name}" in listed or at_top in listed or name[0] == "_"
    for name in listed:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_docstrings_are_checked_wherever_the_api_reference_looks():
    page = (ROOT / "docs" / "api" / "index.rst").read_text()
    checked = (ROOT / "tools" / "check_docstrings.py").read_text()
    for module in set(re.findall(r"^   (\w+)\.\w+$", page, re.MULTILINE)):
        assert f'"sk_ulmfit.{module}"' in checked


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_between_files_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert len(links) > 5 or page != "README.md"


def site(folder, **pages):
    """A built documentation of pages, named by keyword."""
    for name, html in pages.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    command = [sys.executable, ROOT / "tools" / "check_links.py", folder]
    return subprocess.run(command, capture_output=True, text=True)


def test_links_that_lead_somewhere_pass(tmp_path):
    (tmp_path / "figure.svg").write_text("<svg/>")
    done = site(
        tmp_path,
        index='<a href="guide.html#first">x</a> <a href="https://example.org">y</a>',
        guide='<h2 id="first">x</h2> <a href="#first">x</a> <img src="figure.svg">',
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("html", "told"),
    [
        ('<a href="nowhere.html">x</a>', "index.html:1: nowhere.html does not exist"),
        ('\n<a href="#nowhere">x</a>', "index.html:2: #nowhere has no such anchor"),
        ('<img src="figure.svg">', "figure.svg does not exist"),
        ('<script src="https://example.org/x.js"></script>', "x.js is not in the folder"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "x.css is not in the folder"),
    ],
)
def test_links_that_lead_nowhere_are_told(tmp_path, html, told):
    done = site(tmp_path, index=html)
    assert done.returncode == 1
    assert told in done.stderr
