"""The benchmarks' own code: rows of the paper, splits, going on."""

from __future__ import annotations

import csv
import importlib
import json
import lzma
import sys
from pathlib import Path

import pytest
from sklearn.base import clone

from tests.helpers import banking

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
TEXTS, LABELS = banking(3, 40)


@pytest.fixture
def paper(monkeypatch, tmp_path):
    """The script, with a folder of its own for results."""
    monkeypatch.syspath_prepend(str(FOLDER))
    script = importlib.import_module("paper")
    monkeypatch.setattr(script, "RESULTS", tmp_path / "results")
    return script


@pytest.fixture
def data(tmp_path):
    """A folder with one data set that has no test split: reading it would fail."""
    (tmp_path / "trec6").mkdir()
    with lzma.open(tmp_path / "trec6" / "train.csv.xz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("label", "text"), *zip(LABELS, TEXTS, strict=True)])
    return tmp_path


def test_every_row_is_made_of_public_parameters_and_differs_from_the_others(paper):
    models = {name: paper.model_of(row, seed=0) for name, row in paper.ROWS.items()}
    described = {name: repr(sorted(clone(m).get_params().items())) for name, m in models.items()}
    assert len(models) >= 17 and len(set(described.values())) == len(models)


def test_texts_to_measure_on_are_not_trained_on(paper):
    texts = [f"{i} {text}" for i, text in enumerate(TEXTS)]
    train, measured = paper.held_out((texts, list(LABELS)), None, seed=0)
    assert len(measured[0]) == 12 and sorted(train[0] + measured[0]) == sorted(texts)
    few, again = paper.held_out((texts, list(LABELS)), 20, seed=0)
    assert again == measured and len(few[0]) == 20 and set(few[0]) <= set(train[0])
    assert dict(zip(texts, LABELS, strict=True)) == {
        **dict(zip(*train, strict=True)),
        **dict(zip(*measured, strict=True)),
    }


def test_runs_are_written_once_and_the_report_sets_them_beside_the_paper(
    paper, data, monkeypatch, capsys
):
    made = paper.model_of
    quick = {"lm__max_epochs": 0, "clf__max_epochs": 1}
    monkeypatch.setattr(paper, "model_of", lambda row, seed: made(row, seed).set_params(**quick))
    arguments = ["--data", str(data), "--set", "trec6", "--labels", "20"]
    monkeypatch.setattr(sys, "argv", ["paper.py", *arguments, "--row", "method", "last"])
    paper.main()
    files = sorted(paper.RESULTS.iterdir())
    assert [file.name for file in files] == [
        "paper-trec6-last-20labels-0.json",
        "paper-trec6-method-20labels-0.json",
    ]
    result = json.loads(files[0].read_text())
    assert result["n_train"] == 20 and result["n_test"] == 12 and 0 <= result["error"] <= 100
    assert result["params"]["clf"]["unfreeze_schedule"] == "last"
    capsys.readouterr()
    paper.main()
    assert capsys.readouterr().out == "", "both are there already"

    report = importlib.import_module("report")
    monkeypatch.setattr(report, "RESULTS", paper.RESULTS)
    table = report.paper_tables()
    assert "| last | 16.09 |" in table and "--labels 20 --seed 0" in table


def test_a_budget_that_is_used_up_begins_no_run(paper, data, monkeypatch, capsys):
    arguments = ["--data", str(data), "--set", "trec6", "--budget", "0.0000001"]
    monkeypatch.setattr(sys, "argv", ["paper.py", *arguments])
    paper.main()
    assert "budget" in capsys.readouterr().out and not list(paper.RESULTS.iterdir())
