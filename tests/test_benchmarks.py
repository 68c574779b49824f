"""The benchmarks' own code: rows of the paper, splits, going on."""

from __future__ import annotations

import csv
import importlib
import lzma
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.models.fastai import read_fastai
from sk_ulmfit.pretrained import load_pretrained
from tests.helpers import banking

pytestmark = pytest.mark.one_version

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
TEXTS, LABELS = banking(3, 40)


@pytest.fixture
def paper(monkeypatch, tmp_path):
    """The script, with a folder of its own for results."""
    monkeypatch.syspath_prepend(str(FOLDER))
    script = importlib.import_module("paper")
    monkeypatch.setattr(script._results, "RESULTS", tmp_path / "results")
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
    monkeypatch.setattr(paper, "model_of", lambda *args: made(*args).set_params(**quick))
    arguments = ["--data", str(data), "--set", "trec6", "--labels", "20"]
    monkeypatch.setattr(sys, "argv", ["paper.py", *arguments, "--row", "method", "last"])
    paper.main()
    result, other = paper._results.read("paper")
    assert (result["row"], other["row"]) == ("last", "method")
    assert result["n_train"] == 20 and result["n_test"] == 12 and 0 <= result["error"] <= 100
    assert result["params"]["clf"]["unfreeze_schedule"] == "last"
    capsys.readouterr()
    paper.main()
    assert capsys.readouterr().out == "", "both are there already"

    tables = importlib.import_module("_tables")
    assert "| last | 16.09 |" in tables.paper_tables()


def test_choices_are_compared_on_texts_held_out(paper, data, monkeypatch, capsys):
    choices, tables = (importlib.import_module(name) for name in ("choices", "_tables"))
    quick = {"lm__max_epochs": 0, "max_epochs": 1}
    for name, params in list(choices.CHOICES.items()):
        ULMFiTClassifier(ULMFiTLanguageModel()).set_params(
            **{key.replace("lm__", "language_model__"): value for key, value in params.items()}
        )
        monkeypatch.setitem(choices.CHOICES, name, {**params, **quick})
    tuned = []
    make = choices.ULMFiTLanguageModel
    monkeypatch.setattr(
        choices, "ULMFiTLanguageModel", lambda **params: tuned.append(params) or make(**params)
    )
    arguments = ["--data", str(data), "--set", "trec6", "--labels", "20"]
    chosen = ["--choice", "start", "rate-0.02", "lm-dropout-0.5"]
    monkeypatch.setattr(sys, "argv", ["choices.py", *arguments, *chosen])
    choices.main()
    assert len(tuned) == 2, "what is not of the language model shares one"
    by_choice = {run["choice"]: run for run in paper._results.read("choices")}
    result = by_choice["rate-0.02"]
    assert result["n_train"] == 20 and result["n_held_out"] == 24 and 0 <= result["error"] <= 100
    table = tables.choices_table()
    assert "| choice | TREC-6, 20 labels |" in table and "better in" in table
    assert "`lr=0.02" in table and "lr_decay" not in table, "what was not run is left out"
    capsys.readouterr()
    choices.main()
    assert capsys.readouterr().out == "", "all are there already"


def test_a_budget_that_is_used_up_begins_no_run(paper, data, monkeypatch, capsys):
    arguments = ["--data", str(data), "--set", "trec6", "--budget", "0.0000001"]
    monkeypatch.setattr(sys, "argv", ["paper.py", *arguments])
    paper.main()
    assert "budget" in capsys.readouterr().out and not paper._results.read("paper")


def test_runs_written_beside_one_another_are_all_kept_and_a_new_one_replaces_the_old(
    paper, tmp_path
):
    results = paper._results
    runs = [{"set": "trec6", "labels": None, "seed": seed, "error": 1.0} for seed in range(30)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda run: results.write("calibration", run), reversed(runs)))
    assert results.read("calibration") == runs
    again = {**runs[7], "error": 2.0}
    results.write("calibration", again)
    results.write("calibration", {**again, "labels": 100, "seed": 0})
    assert len(results.read("calibration")) == 31 and again in results.read("calibration")
    assert results.read("paper") == [] and results.keys("levers") == set()


def results_of(errors):
    """Results as the tables take them: errors of seeds 0, 1, ... by set, model and labels."""
    return {
        key: [{"seed": n, "error": error, "n_train": key[2]} for n, error in enumerate(values)]
        for key, values in errors.items()
    }


def test_fastai_is_compared_with_the_same_draws(paper):
    tables = importlib.import_module("_tables")
    groups = results_of(
        {
            ("trec6", "fastai", 500): [30.0, 20.0, 25.0],
            ("trec6", "en-small-plain", 500): [29.0, 22.0, 21.0, 90.0],
            ("sst2", "fastai", 500): [10.0],
        }
    )
    *_, row = tables.peer_table(groups).splitlines()
    shown = row.replace(tables.SPACE, " ")
    assert shown == "| TREC-6 | 500 | 3 | 25.0 ± 5.0 | 24.0 ± 4.4 | -1.0 ± 3.0 | 2 of 3 |"


def test_the_lowest_error_is_marked_in_every_column(paper):
    tables = importlib.import_module("_tables")
    assert tables.with_best([[3.0], [], [2.04], [2.0]], 1) == ["3.0", "-", "**2.0**", "**2.0**"]
    errors = {("tfidf", 100): 9.0, ("minilm", 100): 8.0, ("tfidf", 200): 5.0, ("en-small", 200): 6}
    groups = results_of({("sst2", *key): [error] for key, error in errors.items()})
    table = tables.low_shot_table(groups, "sst2").splitlines()
    assert [row.split(" | ")[1:] for row in table[2:]] == [
        ["9.0", "**5.0** |"],
        ["**8.0**", "- |"],
        ["-", "6.0 |"],
    ]


def test_seconds_on_a_gpu_stand_apart(paper):
    tables = importlib.import_module("_tables")
    groups = results_of({("sst2", "en-small", None): [1.0, 2.0, 3.0]})
    for run, gpu, seconds in zip(*groups.values(), ["", "H", "H"], [900, 8, 10], strict=True):
        run |= {"machine": {"gpu": gpu, "threads": 1}, "fit_seconds": seconds}
        run |= {"predict_per_second": 10 * seconds, "versions": {"torch": 1, "scikit-learn": 1}}
    table = tables.full_table(groups)
    assert "| 900 | 9 | 9,000 | 90 |" in table and "on a GPU (H)" in table


def test_the_page_begins_with_where_the_default_is_ahead(paper):
    summary = importlib.import_module("_summary")
    errors = {("sst2", 100): (30.0, 20.0), ("trec6", 200): (9.0, 10.0), ("trec6", 500): (9.0, 8.0)}
    runs = {}
    for (name, n), (theirs, ours) in errors.items():
        runs |= {(name, "tfidf", n): [theirs], (name, "en-small", n): [ours]}
    groups = results_of(runs)
    for key, (run,) in groups.items():
        run |= {"machine": {"gpu": ""}, "fit_seconds": key[2] / 10}
    lines = summary.in_short(groups).replace(summary.SPACE, " ").splitlines()
    assert lines[2].endswith("tuned | 1 of 2, +4.5 | 1 of 1, +1.0 | - |")
    assert lines[-2].endswith("CPU | 10.0 to 20.0 | 50.0 to 50.0 | - |")


def test_a_label_is_worth_as_many_as_training_from_scratch_needs(paper):
    tables = importlib.import_module("_tables")
    scratch = {("imdb", "scratch", n): [e] for n, e in ((200, 45.0), (1000, 30.0), (2000, 25.0))}
    ours = {
        ("imdb", "en-small-plain", 100): [32.0],
        ("imdb", "en-small-plain", 1000): [20.0],
        ("imdb", "en-small-plain-semi-10000", 100): [90.0],
        ("imdb", "en-small-plain-semi", 100): [29.0, 31.0],
        ("sst2", "en-small", 100): [1.0],
    }
    papers = {
        ("imdb", "en-small-plain-semi-concat-10000", 500): [40.0],
        ("imdb", "scratch-concat", 1000): [44.0, 46.0],
    }
    _, _, *rows = tables.worth_table(results_of({**scratch, **ours, **papers})).splitlines()
    assert rows == [
        "| IMDb | ours | 100 | 32.0 | 30.0 | 1000 labels (30.0 %) |",
        "| IMDb | ours | 1000 | 20.0 | - | more than 2000 labels (25.0 %) |",
        "| IMDb | the paper's | 500 | - | 40.0 | more than 1000 labels (45.0 %) |",
    ]


def test_a_figure_says_which_numbers_it_shows(paper, tmp_path):
    figures = importlib.import_module("_figures")
    errors = {("trec6", "en-small", n): [50.0 - n / 20, 48.0 - n / 20] for n in (100, 500)}
    groups = results_of({**errors, ("trec6", "tfidf", 100): [40.0], ("trec6", "fastai", 9): [1.0]})
    assert not figures.in_step("low-shot", groups, tmp_path)
    figures.draw_figure("low-shot", groups, tmp_path)
    assert figures.in_step("low-shot", groups, tmp_path)
    groups["trec6", "tfidf", 100][0]["error"] = 39.0
    assert not figures.in_step("low-shot", groups, tmp_path)


def test_reliability_puts_predictions_into_bins_by_how_sure_they_are(paper):
    calibration = importlib.import_module("calibration")
    confidence = np.array([0.31, 0.39, 0.95, 1.0, 0.97])
    right = np.array([False, True, True, True, False])
    bins = calibration.reliability(confidence, right)
    assert bins == [[0.35, 0.5, 2], [0.9733, 0.6667, 3]]


def test_words_are_deleted_from_texts_held_out(paper, data, monkeypatch, capsys):
    deletion, tables = (importlib.import_module(name) for name in ("deletion", "_tables"))
    monkeypatch.setattr(deletion, "LENGTHS", (5, 20))
    monkeypatch.setitem(deletion.TRAINING["head"], "max_epochs", 1)
    arguments = ["--data", str(data), "--set", "trec6", "--labels", "20", "--texts", "6"]
    monkeypatch.setattr(sys, "argv", ["deletion.py", *arguments, "--training", "head"])
    deletion.main()
    [result] = deletion._results.read("deletion")
    assert result["n_texts"] == 6 and set(result["deleted"]["named 10%"]) == {"fall", "changed"}
    assert "| TREC-6 | 20 | the head alone | 6 |" in tables.deletion_table()
    assert "20 words: " in tables.deletion_table()
    assert "probabilities fall by" in capsys.readouterr().out
    deletion.main()
    assert capsys.readouterr().out == "", "it is there already"


def test_deleting_the_first_words_of_an_order(paper):
    deletion = importlib.import_module("deletion")
    spans = [None, (0, 2), (3, 8), (10, 12)]
    figures = {name: 0.0 for name in ("probability", "logit", "baseline_logit", "error")}
    found = deletion.Explanation(
        "My card!  is",
        ["xxbos", "my", "card", "is"],
        np.zeros(4),
        spans,
        "a",
        **figures,
        unexplained=0.0,
        tolerance=0.5,
        n_readings=1,
    )
    order = np.array([2, 0, 1])
    assert deletion.without(found, order, 0.1) == "My card!  "
    assert deletion.without(found, order, 0.7) == " card!  "


def test_fastai_begins_with_our_weights(paper, tmp_path):
    peer = importlib.import_module("_peer")
    model = load_pretrained("en-small")
    peer.write_for_fastai(model, tmp_path)
    read = read_fastai(tmp_path / "models" / "start.pth", tmp_path / "models" / "start.pkl")
    assert read.tokenizer.vocab == model.tokenizer.vocab
    for name, array in model.weights["forward"].items():
        np.testing.assert_array_equal(read.weights["forward"][name], array, err_msg=name)


@pytest.fixture
def everything(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("everything")


def test_every_result_is_made_by_one_job(everything):
    jobs, results = list(everything.jobs("fastai/bin/python")), everything._results
    makes = [one for job in jobs for one in job.makes]
    assert len(set(makes)) == len(makes) > 500
    assert not any("fastai" in key for job in everything.jobs() for _, key in job.makes)
    there = {(table, key) for table in ("paper", "compare") for key in results.keys(table)}
    runs = {("paper", key) for key in results.keys("paper")}
    assert runs and runs <= set(makes), "named as the scripts name them"
    assert sum(job.is_done(there) for job in jobs) > 100
    assert {table for job in jobs for table in job.tables.split()} == set(everything.TABLES)


def test_lanes_do_all_jobs_and_tell_which_failed(everything, monkeypatch, tmp_path):
    results = everything._results
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    (tmp_path / "good.py").write_text(
        f"import sys, pathlib; sys.path.insert(0, {str(FOLDER)!r}); import _results\n"
        f"_results.RESULTS = pathlib.Path({str(tmp_path)!r})\n"
        "_results.write('levers', {'choice': sys.argv[1], 'argument': sys.argv[3]})"
    )
    (tmp_path / "bad.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(everything, "FOLDER", tmp_path)
    jobs = [
        everything.Job("few", ["good.py", str(i)], [("levers", (str(i),))], on_gpu=i > 1)
        for i in range(4)
    ]
    bad = everything.Job("few", ["bad.py"])
    lanes = everything.Lanes([bad, *jobs], ["--data", "DATA"], end=float("inf"))
    assert lanes.next(on_gpu=True) == jobs[2]
    assert not jobs[0].is_done(set())
    lanes.drive(on_gpu=False)
    there = {("levers", key) for key in results.keys("levers")}
    assert [job.is_done(there) for job in jobs] == [True, True, False, True]
    assert results.read("levers")[0] == {"choice": "0", "argument": "DATA"}
    assert lanes.failed == [bad] and not lanes.waiting
    lanes.waiting, lanes.end = [jobs[2]], 0.0
    assert lanes.next(on_gpu=True) is None, "no time left"
