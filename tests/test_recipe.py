"""The recipe of the shipped model: cleaning, planning, training, going on."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import sk_ulmfit
from sk_ulmfit.models.names import read_shipped
from tests.helpers import banking

pytestmark = pytest.mark.one_version

ROOT = Path(__file__).resolve().parent.parent
TEXTS, _ = banking(3, 30)


def module_of(path: str):
    """Import a script by its path, which finds its neighbours as it does when it is run."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend((ROOT / path).parent)
        spec.loader.exec_module(module)
    return module


recipe = module_of("examples/pretrain_english.py")


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("Oslo<br />is a <ref name='x'>city</ref>.</dl>", "Oslo is a city ."),
        ("a point formula_12 of formula_3", "a point of"),
        ("Oslo () is (; ) a (, , ) city ( ).", "Oslo is a city."),
        ("Oslo (; born Kristiania) and (, )", "Oslo (born Kristiania) and"),
        ("the [[capital]] of ''Norway''", "the capital of Norway"),
        ("Population\n| 1900 | 200 |\n{| class\nends.", "Population\nends."),
        ("it's 5 < 6 and 7 > 6, <b>bold</b>", "it's 5 < 6 and 7 > 6, bold"),
        ("Title\n\nHistory.\nText (see p. 5).", "Title\nHistory.\nText (see p. 5)."),
        ("", ""),
    ],
)
def test_leftovers_of_markup_are_stripped(markup, text):
    assert " ".join(recipe.clean(markup).split()) == " ".join(text.split())
    assert recipe.clean(markup).count("\n") == text.count("\n")


@pytest.fixture
def command(tmp_path, monkeypatch):
    articles = "\n\n".join(f"Title {i}\n{' '.join(TEXTS[i : i + 5])}" for i in range(60))
    with gzip.open(tmp_path / "shard.txt.gz", "wt", encoding="utf-8") as file:
        file.write(articles)

    def run(*more):
        arguments = [
            *(str(tmp_path / "shard.txt.gz"), "--out", str(tmp_path / "tiny")),
            *("--work", str(tmp_path / "work"), "--emb-size", "16", "--hidden-size", "24"),
            *("--vectors-share", "0", "--device", "cpu", "--n-jobs", "1", *more),
        ]
        monkeypatch.setattr(sys, "argv", ["pretrain_english.py", *arguments])
        recipe.main()
        return tmp_path / "tiny"

    return run


def test_one_command_leads_from_shards_to_models_of_both_directions(command):
    folder = command("--tokens", "3e4")
    for direction in ("forward", "backward"):
        lm = sk_ulmfit.load(folder / direction)
        assert lm.trained_.directions == (direction,)
        assert lm.perplexity(TEXTS) < 0.7 * len(lm.vocab_)
    before = (folder / "forward" / "model.json").read_bytes()
    assert command("--tokens", "3e4") == folder
    assert (folder / "forward" / "model.json").read_bytes() == before, "it was finished"


def test_a_budget_in_minutes_is_turned_into_tokens(command):
    folder = command("--budget", "0.02", "--direction", "forward")
    assert (folder / "forward").is_dir() and not (folder / "backward").exists()


def test_a_finished_model_is_trained_further_on_other_articles(command, tmp_path):
    command("--tokens", "3e4", "--direction", "forward")
    (tmp_path / "tiny").rename(tmp_path / "first")
    more = ["--start", str(tmp_path / "first"), "--work", str(tmp_path / "more"), "--seed", "1"]
    folder = command("--tokens", "3e4", "--direction", "forward", *more)
    first, second = (sk_ulmfit.load(path / "forward") for path in (tmp_path / "first", folder))
    assert first.vocab_ == second.vocab_
    assert second.perplexity(TEXTS) < first.perplexity(TEXTS)
    sittings = json.loads((folder / "forward" / "model.json").read_text())["training"]
    assert [sitting["seed"] for sitting in sittings] == [0, 1]


def test_word_vectors_become_the_embedding(command):
    pytest.importorskip("gensim")
    folder = command("--tokens", "1e3", "--vectors-share", "1", "--lr", "1e-9")
    embedding = sk_ulmfit.load(folder / "forward").trained_.weights["forward"]["encoder.embedding"]
    assert 0.4 < embedding.std() < 0.8


wikitext = module_of("benchmarks/wikitext_perplexity.py")
SAMPLE = """
 = My card =

 My card <unk> arrived @-@ late . It cost 10 @,@ 000 pounds .

 = = History = =

 Where is my card ?

 = Another =

 I am still waiting on my card .
""".replace(" =\n", " = \n")


def test_wikitext_is_cut_into_articles_without_marks_of_headings():
    first, second = wikitext.articles(SAMPLE)
    assert first.split()[:2] == ["My", "card"] and "History" in first and "=" not in first
    assert second.split()[0] == "Another"


def test_perplexity_is_per_word_of_wikitext_whatever_the_tokens_are():
    trained = {
        kind: sk_ulmfit.ULMFiTLanguageModel(
            None, tokenizer=kind, emb_size=16, hidden_size=24, max_epochs=1, random_state=0
        )
        .fit(TEXTS)
        .trained_
        for kind in ("word", "subword")
    }
    found = {
        kind: wikitext.wikitext_perplexity(model, SAMPLE, "cpu")["forward"]
        for kind, model in trained.items()
    }
    assert found["word"]["words"] == found["subword"]["words"] == 31
    assert found["word"]["tokens"] != found["subword"]["tokens"]
    for figures in found.values():
        ratio = figures["per_word"] ** figures["words"] / figures["per_token"] ** figures["tokens"]
        assert 0.8 < ratio < 1.25
    assert found["word"]["unknown_words"] > 0
    assert found["word"]["per_word_unknown_charged"] > found["word"]["per_word"]


def test_articles_are_cut_into_sentences_and_passages():
    article = "Oslo\n" + "Dr. H. C. Hansen lived in Oslo. He was born there in 1900. He died. " * 30
    random = np.random.default_rng(0)
    found = list(recipe.passages(article, random))
    assert len(found) == 8
    assert all(4 <= len(passage.split()) <= 80 for passage in found)
    assert "Dr. H. C. Hansen lived in Oslo." in found
    assert any(passage.count(".") > 4 for passage in found)


def test_a_teacher_is_learned_from_and_the_model_carries_it(command, tmp_path, monkeypatch):
    class Teacher:
        calls = 0

        def __call__(self, texts):
            self.calls += len(texts)
            topics = ["card", "top", "pin", "transfer", "age", "account"]
            known = [[topic in text.lower() for topic in topics] for text in texts]
            return np.array(known, dtype=np.float32) + 0.1

    teacher = Teacher()
    monkeypatch.setattr(recipe, "sentence_encoder", lambda directory, device: teacher)
    (tmp_path / "everyday.txt").write_text("\n".join(TEXTS[:40]) + "\nleave this out\n")
    (tmp_path / "excluded.txt").write_text("Leave THIS out!\n")
    arguments = [
        *("--tokens", "2e4", "--teacher", str(tmp_path / "encoder"), "--sentence-size", "5"),
        *("--everyday", str(tmp_path / "everyday.txt"), "--max-texts", "300"),
        *("--exclude", str(tmp_path / "excluded.txt"), "--lexicon", "50"),
    ]
    folder = command(*arguments)
    texts = (tmp_path / "work" / "taught.txt").read_text().splitlines()
    assert TEXTS[0] in texts and "leave this out" not in texts
    for directions in (("forward",), ("backward",), ("forward", "backward")):
        trained = read_shipped(folder.name, directions, folder.parent)
        assert trained.sentences.size == 5
        assert trained.tokenizer.lexicon and len(trained.tokenizer.lexicon) <= 50
    lm = sk_ulmfit.ULMFiTLanguageModel.from_trained(trained, output="features")
    card, another, transfer = lm.transform(["my card", "a card", "the transfer"])[:, :5]
    assert card @ another > card @ transfer
    once = teacher.calls
    command(*arguments)
    assert teacher.calls - once < 10, "its vectors are in a file"
