"""The shipped data set, and the reader of the benchmarks' data."""

from __future__ import annotations

import csv
import doctest
import hashlib
import io
import lzma
import sys
from importlib.resources import files

import numpy as np
import pytest

from benchmarks._data import read_labelled_csv, read_split
from sk_ulmfit.datasets import load_banking77


class TestBanking77:
    @pytest.mark.parametrize(
        ("subset", "size"), [("train", 10_003), ("test", 3_080), ("all", 13_083)]
    )
    def test_sizes(self, subset, size):
        bunch = load_banking77(subset=subset)
        assert len(bunch.data) == size
        assert bunch.target.shape == (size,)
        assert bunch.frame is None

    def test_train_is_the_default(self):
        assert load_banking77().data == load_banking77(subset="train").data

    def test_all_is_train_followed_by_test(self):
        train, test, both = (load_banking77(subset=subset) for subset in ("train", "test", "all"))
        assert both.data == train.data + test.data
        np.testing.assert_array_equal(both.target, np.concatenate([train.target, test.target]))

    @pytest.mark.parametrize("subset", ["train", "test"])
    def test_every_subset_numbers_the_same_77_intents(self, subset):
        bunch = load_banking77(subset=subset)
        assert bunch.target_names == load_banking77(subset="all").target_names
        assert len(bunch.target_names) == 77
        np.testing.assert_array_equal(np.unique(bunch.target), np.arange(77))

    def test_known_questions(self):
        test = load_banking77(subset="test")
        by_text = {
            text: test.target_names[i] for text, i in zip(test.data, test.target, strict=True)
        }
        assert by_text["How do I locate my card?"] == "card_arrival"
        # A line break at the start, a comma, a currency sign: nothing is trimmed or re-encoded.
        assert by_text["\nWhere can I get my PIN unblocked?"] == "pin_blocked"
        assert by_text["I got a extra €1 fee in my statement"] == "extra_charge_on_statement"

    def test_return_X_y(self):
        texts, target = load_banking77(return_X_y=True)
        bunch = load_banking77()
        assert texts == bunch.data
        np.testing.assert_array_equal(target, bunch.target)

    def test_as_frame(self):
        pd = pytest.importorskip("pandas")
        bunch = load_banking77(subset="test", as_frame=True)
        plain = load_banking77(subset="test")
        assert list(bunch.frame.columns) == ["text", "target"]
        pd.testing.assert_series_equal(bunch.data, bunch.frame["text"])
        assert bunch.data.tolist() == plain.data
        assert bunch.target.tolist() == plain.target.tolist()
        texts, target = load_banking77(subset="test", as_frame=True, return_X_y=True)
        assert isinstance(texts, pd.Series)
        assert isinstance(target, pd.Series)

    def test_as_frame_without_pandas(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match="pip install pandas"):
            load_banking77(as_frame=True)

    @pytest.mark.parametrize("subset", ["valid", "", None])
    def test_unknown_subset(self, subset):
        with pytest.raises(ValueError, match="'train', 'test' or 'all', got"):
            load_banking77(subset=subset)

    def test_categories_are_those_questions_numbered_anew(self):
        wanted = ["pin_blocked", "change_pin"]
        bunch = load_banking77(subset="test", categories=wanted)
        assert bunch.target_names == ["change_pin", "pin_blocked"]
        whole = load_banking77(subset="test")
        names = [whole.target_names[number] for number in whole.target]
        rows = [i for i, name in enumerate(names) if name in wanted]
        assert bunch.data == [whole.data[i] for i in rows]
        assert [bunch.target_names[number] for number in bunch.target] == [names[i] for i in rows]

    def test_categories_as_frame(self):
        pytest.importorskip("pandas")
        frame = load_banking77(categories=["age_limit"], as_frame=True).frame
        assert len(frame) == 110
        assert set(frame["target"]) == {0}

    @pytest.mark.parametrize(
        ("categories", "error"),
        [(["pin", "age_limit"], r"no intents: \['pin'\]"), ([], "at least one"), ("age", "list")],
    )
    def test_categories_that_are_none(self, categories, error):
        with pytest.raises((TypeError, ValueError), match=error):
            load_banking77(categories=categories)

    def test_two_calls_share_nothing(self):
        first = load_banking77(subset="test")
        first.data.clear()
        first.target[:] = 0
        assert len(load_banking77(subset="test").data) == 3_080

    def test_descr_gives_licence_and_credit(self):
        descr = load_banking77(subset="test").DESCR
        assert "CC BY 4.0" in descr
        assert "Casanueva" in descr

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_files_are_those_described(self, split):
        folder = files("sk_ulmfit.datasets") / "data" / "banking77"
        digest = hashlib.sha256((folder / f"{split}.csv.xz").read_bytes()).hexdigest()
        described = (folder / "README.md").read_text("utf-8")
        assert f"| `{split}.csv.xz` | `{digest}` |" in described

    def test_docstring_examples(self):
        from sk_ulmfit.datasets import _banking77

        results = doctest.testmod(_banking77)
        assert results.attempted > 0
        assert results.failed == 0


class TestLabelledCsv:
    def write(self, path, rows):
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(text.getvalue().encode("utf-8")))
        return path

    def test_texts_stay_as_they_are(self, tmp_path):
        rows = [["0", "NA"], ["null", ""], ["1.0", "a\r\nb"], ["nan", 'say "x", €'], ["", " None "]]
        path = self.write(tmp_path / "x.csv.xz", [["label", "text"], *rows])
        assert read_labelled_csv(path) == ([text for _, text in rows], [label for label, _ in rows])

    def test_order_of_columns(self, tmp_path):
        path = self.write(tmp_path / "x.csv.xz", [["text", "label"], ["a", "1"]])
        assert read_labelled_csv(path) == (["a"], ["1"])

    def test_no_labels(self, tmp_path):
        path = self.write(tmp_path / "x.csv.xz", [["text"], ["a"], ["b"]])
        assert read_labelled_csv(path) == (["a", "b"], None)

    def test_no_texts(self, tmp_path):
        path = self.write(tmp_path / "x.csv.xz", [["label", "body"], ["1", "a"]])
        with pytest.raises(ValueError, match="no column 'text', only label, body"):
            read_labelled_csv(path)

    def test_long_text(self, tmp_path):
        limit = csv.field_size_limit()
        text = "word " * limit
        path = self.write(tmp_path / "x.csv.xz", [["label", "text"], ["1", text]])
        assert read_labelled_csv(path) == ([text], ["1"])
        assert csv.field_size_limit() == limit

    def test_read_split(self, tmp_path):
        self.write(tmp_path / "tiny" / "train.csv.xz", [["label", "text"], ["1", "a"]])
        assert read_split(tmp_path, "tiny", "train") == (["a"], ["1"])
        with pytest.raises(FileNotFoundError, match="no split 'test'"):
            read_split(tmp_path, "tiny", "test")
