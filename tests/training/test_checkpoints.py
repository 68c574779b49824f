"""Trainings that are cut short at any point and go on from their directory."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel, files, load
from sk_ulmfit.datasets import load_banking77
from tests.helpers import Cut, CutAfter

pytestmark = pytest.mark.one_version

TEXTS = list(load_banking77(subset="train").data[:400])
SMALL = {
    "pretrained": None,
    "emb_size": 16,
    "hidden_size": 32,
    "bptt": 20,
    "random_state": 0,
    "max_epochs": 3,
}


def cut_after(n_batches, X, directory, **params):
    with pytest.raises(Cut):
        ULMFiTLanguageModel(
            **{**SMALL, **params}, checkpoint_dir=directory, callbacks=[CutAfter(n_batches)]
        ).fit(X)


def same(one, other):
    return one.trained_.fingerprint == other.trained_.fingerprint and one.history_ == other.history_


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"direction": "both"},
        {"direction": "backward"},
        {"early_stopping": True, "patience": 2, "lr": 0.05},
        {"softmax_samples": 50},
        {"schedule": "one_cycle", "tokenizer": "subword"},
    ],
    ids=lambda params: "-".join(params) or "default",
)
def test_a_training_cut_into_three_ends_like_one_in_a_piece(params, tmp_path):
    whole = ULMFiTLanguageModel(**{**SMALL, **params}).fit(TEXTS)
    directions = whole.trained_.directions
    n_batches = sum(epoch["train_batch_count"] for epoch in whole.history_) // len(directions)
    every = {**params, "checkpoint_minutes": 0}
    # The first cut is inside of an epoch, the second one a batch into what is left.
    cut_after(n_batches // 2 + 1, TEXTS, tmp_path, **every)
    cut_after(2, TEXTS, tmp_path, **every)
    if len(directions) == 2:  # of the first one fewer batches are left than these
        cut_after(n_batches // 2 + 1, TEXTS, tmp_path, **every)
        assert (tmp_path / "backward.pt").is_file()
    going_on = ULMFiTLanguageModel(**{**SMALL, **params}, checkpoint_dir=tmp_path).fit(TEXTS)
    assert same(going_on, whole)


def test_what_comes_after_the_last_checkpoint_is_done_again(tmp_path):
    whole = ULMFiTLanguageModel(**SMALL).fit(TEXTS)
    cut_after(7, TEXTS, tmp_path, checkpoint_minutes=0)
    cut_after(9, TEXTS, tmp_path, checkpoint_minutes=1e9)
    assert same(ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path).fit(TEXTS), whole)


def test_progress_goes_on_where_it_was(tmp_path, capfd):
    cut_after(8, TEXTS, tmp_path, checkpoint_minutes=0)
    ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path, verbose=1).fit(TEXTS)
    shown = capfd.readouterr().err
    percents = [int(percent) for percent in re.findall(r"forward LM, (\d+)%", shown)]
    assert percents[0] > 10 and percents[-1] >= 98


def test_fine_tuning_goes_on_too(tmp_path):
    general = FrozenEstimator(ULMFiTLanguageModel(**{**SMALL, "max_epochs": 1}).fit(TEXTS))
    params = {**SMALL, "pretrained": general}
    whole = ULMFiTLanguageModel(**params).fit(TEXTS[:200])
    cut_after(5, TEXTS[:200], tmp_path, pretrained=general, checkpoint_minutes=0)
    assert same(ULMFiTLanguageModel(**params, checkpoint_dir=tmp_path).fit(TEXTS[:200]), whole)


def test_a_completed_training_is_not_done_again(tmp_path):
    first = ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path).fit(TEXTS)
    again = ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path, callbacks=[CutAfter(1)])
    assert same(again.fit(TEXTS), first)


def test_without_a_seed_the_one_that_was_drawn_is_kept(tmp_path):
    params = {"random_state": None, "checkpoint_minutes": 0}
    cut_after(10, TEXTS, tmp_path, **params)
    first = ULMFiTLanguageModel(**{**SMALL, **params}, checkpoint_dir=tmp_path).fit(TEXTS)
    again = ULMFiTLanguageModel(**{**SMALL, **params}, checkpoint_dir=tmp_path).fit(TEXTS)
    assert same(again, first)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"lr": 0.02}, "lr"), ({"hidden_size": 24}, "hidden_size"), ({"random_state": 1}, "random")],
)
def test_the_directory_of_another_training_is_refused(change, named, tmp_path):
    cut_after(3, TEXTS, tmp_path, checkpoint_minutes=0)
    with pytest.raises(ValueError, match=f"holds a training with other .*{named}"):
        ULMFiTLanguageModel(**{**SMALL, **change}, checkpoint_dir=tmp_path).fit(TEXTS)


def test_other_texts_are_refused(tmp_path):
    cut_after(3, TEXTS, tmp_path, checkpoint_minutes=0)
    with pytest.raises(ValueError, match="holds a training with other texts"):
        ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path).fit(TEXTS[1:])


class Corpus:
    """Texts of which nobody knows how many there are."""

    def __init__(self, texts):
        self.texts = texts

    def __iter__(self):
        return iter(self.texts)


@pytest.mark.parametrize("kind", [iter, Corpus])
def test_other_texts_of_a_stream_are_refused(kind, tmp_path):
    cut_after(3, kind(TEXTS), tmp_path, checkpoint_minutes=0)
    with pytest.raises(ValueError, match="holds a training with other texts"):
        ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path).fit(kind(TEXTS[1:]))
    whole = ULMFiTLanguageModel(**SMALL).fit(TEXTS)
    again = ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path).fit(kind(TEXTS))
    assert again.trained_.fingerprint == whole.trained_.fingerprint


def test_a_file_that_was_edited_is_refused(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("\n\n".join(TEXTS), encoding="utf-8")
    cut_after(3, file, tmp_path / "checkpoints", checkpoint_minutes=0)
    file.write_text("\n\n".join(TEXTS).replace("card", "bank"), encoding="utf-8")
    with pytest.raises(ValueError, match="holds a training with other texts"):
        ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path / "checkpoints").fit(file)


def test_a_classifier_without_a_seed_goes_on_with_its_language_model(tmp_path):
    labels = [text.split()[0] for text in TEXTS]
    first, again = (
        ULMFiTClassifier(
            ULMFiTLanguageModel(**{**SMALL, "random_state": None}, checkpoint_dir=tmp_path),
            max_epochs=0,
        ).fit(TEXTS, labels)
        for _ in range(2)
    )
    assert same(first.language_model_, again.language_model_)


def test_a_damaged_checkpoint_says_which_file(tmp_path):
    cut_after(3, TEXTS, tmp_path, checkpoint_minutes=0)
    (tmp_path / "forward.pt").write_bytes(b"PK no checkpoint")
    with pytest.raises(ValueError, match=r"forward\.pt is damaged: delete it"):
        ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path).fit(TEXTS)


FEW = TEXTS[:40]
TINY = {**SMALL, "emb_size": 4, "hidden_size": 4, "max_vocab": 60, "max_epochs": 1, "batch_size": 4}


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """Directory of a training that was cut short, and its texts in a file."""
    directory = tmp_path_factory.mktemp("cut")
    (directory / "texts.txt").write_text("\n\n".join(FEW), encoding="utf-8")
    for source in (FEW, directory / "texts.txt"):
        run = directory / ("memory" if source is FEW else "disk")
        cut_after(6, source, run, **TINY, checkpoint_minutes=0)
    return directory


@pytest.fixture(scope="module")
def whole():
    return ULMFiTLanguageModel(**TINY).fit(FEW)


def end_of(directory):
    """Go on, also from a directory that somebody has damaged."""
    X = FEW if directory.name == "memory" else directory.parent / "texts.txt"
    return ULMFiTLanguageModel(**TINY, checkpoint_dir=directory).fit(X)


def files_of(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_no_flipped_bit_in_a_checkpoint_leads_to_other_weights(kind, cut, whole, tmp_path):
    random = np.random.default_rng(0)
    for file in files_of(cut / kind):
        content = file.read_bytes()
        for n in range(12):
            flipped = bytearray(content)
            flipped[random.integers(len(content))] ^= 1 << random.integers(8)
            directory = tmp_path / f"{file.name}-{n}" / kind
            shutil.copytree(cut, directory.parent, dirs_exist_ok=True)
            damaged = directory / file.relative_to(cut / kind)
            damaged.write_bytes(flipped)
            try:
                ended = end_of(directory)
            except ValueError as error:
                assert str(directory) in str(error), (file, n)
                assert "elete" in str(error), (file, n, error)
            else:
                assert same(ended, whole), (file, n)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 0.99])
@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_file_of_a_checkpoint_that_was_cut_off_is_named(kind, share, cut, tmp_path):
    for file in files_of(cut / kind):
        directory = tmp_path / file.name / kind
        shutil.copytree(cut, directory.parent)
        damaged = directory / file.relative_to(cut / kind)
        damaged.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
        with pytest.raises(ValueError, match="elete") as caught:
            end_of(directory)
        assert str(directory) in str(caught.value)


@pytest.mark.parametrize(
    "other",
    [{"lr": 0.02}, {"hidden_size": 6}, {"emb_size": 6}, {"direction": "both"}, {"max_epochs": 2}],
    ids=str,
)
def test_the_checkpoint_of_another_training_is_not_taken_up(other, cut, tmp_path):
    shutil.copytree(cut / "memory", tmp_path / "memory")
    cut_after(2, FEW, tmp_path / "other", **{**TINY, **other}, checkpoint_minutes=0)
    shutil.copy(tmp_path / "other" / "forward.pt", tmp_path / "memory" / "forward.pt")
    with pytest.raises(ValueError, match=r"forward\.pt is of another training.*delete it"):
        end_of(tmp_path / "memory")
    (tmp_path / "memory" / "forward.pt").unlink()
    assert end_of(tmp_path / "memory").n_epochs_ == 1


def test_a_description_that_was_deleted_is_no_leave_for_another_training(cut, whole, tmp_path):
    shutil.copytree(cut / "memory", tmp_path / "memory")
    (tmp_path / "memory" / "training.json").unlink()
    with pytest.raises(ValueError, match="is of another training"):
        ULMFiTLanguageModel(**{**TINY, "lr": 0.5}, checkpoint_dir=tmp_path / "memory").fit(FEW)
    (tmp_path / "memory" / "training.json").unlink()
    assert same(end_of(tmp_path / "memory"), whole)


class Meanwhile(Callback):
    """Do something else once, in the middle of a training."""

    def __init__(self, do):
        self.do = do

    def on_batch_end(self, net, **kwargs):
        do, self.do = self.do, lambda: None
        do()


@pytest.mark.skipif(files.fcntl is None, reason="no locks of directories here")
@pytest.mark.parametrize("other", [{}, {"lr": 0.5}], ids=["the same", "another"])
def test_a_second_run_in_a_directory_is_refused_while_the_first_lasts(other, whole, tmp_path):
    second = ULMFiTLanguageModel(**{**TINY, **other}, checkpoint_dir=tmp_path / "run")
    refused = []

    def run():
        with pytest.raises(RuntimeError, match="Another run is training in checkpoint_dir") as told:
            second.fit(FEW)
        refused.append(str(told.value))

    params = {**TINY, "checkpoint_dir": tmp_path / "run", "checkpoint_minutes": 0}
    first = ULMFiTLanguageModel(**params, callbacks=[Meanwhile(run)]).fit(FEW)
    assert str(tmp_path / "run") in refused[0]
    assert same(first, whole)
    if not other:
        assert same(second.fit(FEW), whole), "when the first has ended"


@pytest.mark.skipif(files.fcntl is None, reason="no locks of directories here")
def test_a_run_that_was_killed_is_in_nobodys_way(tmp_path):
    (tmp_path / "texts.txt").write_text("\n\n".join(FEW), encoding="utf-8")
    program = (
        "import sys, time; from pathlib import Path; from sk_ulmfit.training.checkpoints import"
        " only_run\nwith only_run(Path(sys.argv[1])): print(1, flush=True); time.sleep(99)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"1\n"
    model = ULMFiTLanguageModel(**TINY, checkpoint_dir=tmp_path / "run")
    with pytest.raises(RuntimeError, match="Another run"):
        model.fit(FEW)
    process.kill()
    process.wait()
    assert model.fit(FEW).n_epochs_ == 1


@pytest.mark.parametrize("kind", [str, Path])
def test_an_address_is_no_checkpoint_dir_and_a_tilde_is_home(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is an address, not a path on this machine"):
        ULMFiTLanguageModel(**TINY, checkpoint_dir=kind("s3://bucket/run")).fit(FEW)
    assert not list(tmp_path.iterdir())
    ULMFiTLanguageModel(**TINY, checkpoint_dir=kind("~/run")).fit(FEW)
    assert (tmp_path / "run" / "forward.pt").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "3"])
def test_a_damaged_description_says_which_file(content, tmp_path):
    cut_after(3, TEXTS, tmp_path, checkpoint_minutes=0)
    (tmp_path / "training.json").write_text(content)
    with pytest.raises(ValueError, match=r"training\.json is damaged: delete checkpoint_dir"):
        ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path).fit(TEXTS)


def test_a_place_that_cannot_be_written_to_is_named_before_training(tmp_path):
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(OSError, match="checkpoint_dir cannot be written to") as caught:
        ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path / "file" / "run").fit(TEXTS)
    assert caught.value.filename == str(tmp_path / "file" / "run")
    if os.geteuid() != 0:  # root may write anywhere
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(PermissionError, match="checkpoint_dir cannot be written to"):
            ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path / "closed").fit(TEXTS)


DISK_FULL = """
import resource, signal, sys
from pathlib import Path
from skorch.callbacks import Callback
from sk_ulmfit import ULMFiTLanguageModel

class Fill(Callback):
    n_batches = 0

    def on_batch_end(self, net, **kwargs):
        self.n_batches += 1
        if self.n_batches == 10:
            fill()

def fill():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # no file may grow beyond

directory = Path(sys.argv[1])
if sys.argv[2] == "before":
    fill()
model = ULMFiTLanguageModel(
    None, emb_size=16, hidden_size=32, bptt=20, random_state=0, max_epochs=3,
    checkpoint_dir=directory / "run", checkpoint_minutes=0, callbacks=[Fill()],
).fit(directory / "texts.txt")
print(model.trained_.fingerprint)
"""


def run_on_a_full_disk(tmp_path, when):
    (tmp_path / "texts.txt").write_text("\n\n".join(TEXTS), encoding="utf-8")
    command = [sys.executable, "-c", DISK_FULL, str(tmp_path), when]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_disk_that_fills_up_does_not_end_a_training(tmp_path):
    done = run_on_a_full_disk(tmp_path, "while training")
    assert done.returncode == 0, done.stderr
    assert "forward.pt could not be written" in done.stderr
    assert done.stderr.count("could not be written") == 1, "one warning is enough"
    whole = ULMFiTLanguageModel(**SMALL).fit(tmp_path / "texts.txt")
    assert done.stdout.strip() == whole.trained_.fingerprint
    # The checkpoint from before is whole, and what could not be written is not in the way.
    assert not list((tmp_path / "run").glob("*.new"))
    again = ULMFiTLanguageModel(**SMALL, checkpoint_dir=tmp_path / "run")
    assert same(again.fit(tmp_path / "texts.txt"), whole)


def test_a_disk_too_full_for_the_texts_is_told(tmp_path):
    done = run_on_a_full_disk(tmp_path, "before")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert str(tmp_path / "run") in last and "checkpoint_dir" in last


PROGRAM = """
import sys
from pathlib import Path
from sk_ulmfit import ULMFiTLanguageModel
directory = Path(sys.argv[1])
ULMFiTLanguageModel(
    None, emb_size=16, hidden_size=32, bptt=20, random_state=0, max_epochs=3,
    checkpoint_dir=directory / "run", checkpoint_minutes=0,
).fit(directory / "texts.txt").save(directory / "model")
"""


@pytest.mark.slow
def test_killed_at_random_moments_it_completes_with_the_same_weights(tmp_path):
    (tmp_path / "texts.txt").write_text("\n\n".join(TEXTS), encoding="utf-8")
    whole = ULMFiTLanguageModel(**SMALL).fit(tmp_path / "texts.txt")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    random = np.random.default_rng(0)
    begin = time.monotonic()
    subprocess.run(command, check=True)
    lasts = time.monotonic() - begin
    assert load(tmp_path / "model").trained_.fingerprint == whole.trained_.fingerprint
    kills = 0
    while kills < 20:
        subprocess.run(["rm", "-rf", str(tmp_path / "run"), str(tmp_path / "model")], check=True)
        for _ in range(5):
            process = subprocess.Popen(command)
            try:
                process.wait(lasts * random.uniform(0.3, 0.9))
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
        subprocess.run(command, check=True)
        assert load(tmp_path / "model").trained_.fingerprint == whole.trained_.fingerprint
