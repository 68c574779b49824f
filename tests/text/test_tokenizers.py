"""Tokenizers: what they learn, encode, decode, and how they are kept."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from sk_ulmfit.text.rules import SPECIAL_TOKENS
from sk_ulmfit.text.tokenizers import (
    CallableTokenizer,
    SubwordTokenizer,
    Tokenizer,
    WordTokenizer,
    make_tokenizer,
    tokenizer_from_dict,
)

TEXTS = [
    "How did serfdom develop in and then leave Russia ?",
    "What films featured the character Popeye Doyle ?",
    "I am still waiting on my card?",
    "What can I do if my card still hasn't arrived after 2 weeks?",
    "I have been waiting over a week. Is the card still coming?",
    "Can I track my card while it's in the process of delivery?",
    "How do I know if I will get my card, or if it is lost?",
    "When did NASA's first card-reading machine arrive?!",
]


def split(text: str) -> list[str]:
    """What a user may pass."""
    return text.split()


UNFITTED = {
    "word": WordTokenizer(),
    "subword": SubwordTokenizer(),
    "callable": CallableTokenizer(split),
}
FITTED = {name: t.fit(TEXTS, max_vocab=200, min_freq=1) for name, t in UNFITTED.items()}
every_kind = pytest.mark.parametrize("kind", UNFITTED)


def words_of(text: str) -> list[str]:
    tokenizer = WordTokenizer().fit([text], max_vocab=100, min_freq=1)
    return tokenizer.tokens(tokenizer.encode([text])[0])[1:]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("i don't, it's we'll they\u2019re can't", "i do n't , it 's we 'll they \u2019re ca n't"),
        ("you cannot. o'clock at&t's", "you can not . o'clock at&t 's"),
        ("1,200.50 at 12:30, 5% $10 2nd 1980s", "1,200.50 at 12:30 , 5 % $ 10 2nd 1980s"),
        ("(well-known) covid-19 -- 3-4", "( well - known ) covid-19 -- 3 - 4"),
        ("e.g. john f. kennedy, i.e. him.", "e.g. john f. kennedy , i.e. him ."),
        ("good... bad.. 'no' \"yes\"?!", "good … bad .. ' no ' \" yes \" ? !"),
        ("mail a.b@example.org", "mail a.b@example.org"),
        ("日本語text 中文", "日 本 語 text 中 文"),
        ("so😀😁!👍🏽 👩‍💻 🇩🇪🇫🇷 :) ;-(", "so 😀 😁 ! 👍🏽 👩‍💻 🇩🇪 🇫🇷 :) ;-("),
        ("straße naïve приве́т हिन्दी", "straße naïve приве́т हिन्दी"),
        ("xxmaj xxunk's xxrep 4 a", "xxmaj xxunk 's xxrep 4 a"),
    ],
)
def test_word_borders(text, tokens):
    assert words_of(text) == tokens.split()


def test_word_vocabulary_is_ordered_by_frequency():
    tokenizer = WordTokenizer().fit(["b b a a c d", "C"], max_vocab=12, min_freq=2)
    assert tokenizer.vocab.tokens == (*SPECIAL_TOKENS, "a", "b", "c")
    assert WordTokenizer().fit(["b b a a c"], max_vocab=11, min_freq=1).vocab.tokens[9:] == (
        "a",
        "b",
    )


def test_subword_vocabulary_has_characters_and_pieces():
    tokens = FITTED["subword"].vocab.tokens
    assert tokens[:9] == SPECIAL_TOKENS
    assert {"a", "?", "▁card", "▁still"} <= set(tokens)
    assert not any("xx" in token for token in tokens[9:])


def test_subwords_spell_unknown_words():
    tokenizer = FITTED["subword"]
    ids, _ = tokenizer.encode(["cardless machinery"])
    assert tokenizer.vocab.unk_id not in ids
    assert tokenizer.decode(ids) == "cardless machinery"
    assert tokenizer.tokens(tokenizer.encode(["日本"])[0]) == ["xxbos", "▁", "xxunk"]


@pytest.mark.parametrize("max_vocab", [10, 11, 15, 60, 200])
@every_kind
def test_vocabulary_is_no_larger_than_asked(kind, max_vocab):
    vocab = UNFITTED[kind].fit(TEXTS, max_vocab=max_vocab, min_freq=1).vocab
    assert len(vocab) <= max_vocab
    assert vocab.tokens[:9] == SPECIAL_TOKENS


@every_kind
def test_fit_returns_a_new_tokenizer(kind):
    tokenizer = UNFITTED[kind]
    fitted = tokenizer.fit(iter(TEXTS), max_vocab=100, min_freq=1)
    assert type(fitted) is type(tokenizer) and fitted is not tokenizer
    with pytest.raises(NotFittedError, match="call fit"):
        _ = tokenizer.vocab
    for use in (tokenizer.encode, tokenizer.decode):
        with pytest.raises(NotFittedError):
            use([])
    refitted = fitted.fit(["new words"], max_vocab=100, min_freq=1)
    assert "card" not in refitted.vocab and len(fitted.vocab) > len(refitted.vocab)
    assert refitted.tokens(refitted.encode(["words"])[0])[0] == "xxbos"
    assert "not fitted" in repr(tokenizer) and f"{len(fitted.vocab)} tokens" in repr(fitted)


@every_kind
def test_fit_refuses(kind):
    with pytest.raises(ValueError, match="max_vocab must be above 9"):
        UNFITTED[kind].fit(TEXTS, max_vocab=9, min_freq=1)
    with pytest.raises(TypeError, match="single str"):
        UNFITTED[kind].fit("a text", max_vocab=100, min_freq=1)
    with pytest.raises(TypeError, match="single str"):
        FITTED[kind].encode("a text")


@every_kind
def test_corpus_without_words(kind):
    tokenizer = UNFITTED[kind].fit(["", " xxbos"], max_vocab=100, min_freq=1)
    assert tokenizer.vocab.tokens == SPECIAL_TOKENS
    ids, offsets = tokenizer.encode(["", "card"])
    assert set(ids) <= {tokenizer.vocab.unk_id, tokenizer.vocab.bos_id}
    assert offsets[1] == 1


@every_kind
def test_encode(kind):
    tokenizer = FITTED[kind]
    ids, offsets = tokenizer.encode(iter(["", *TEXTS, ""]))
    assert ids.dtype == np.int32 and offsets.dtype == np.int64
    assert len(offsets) == len(TEXTS) + 3 and offsets[0] == 0 and offsets[-1] == len(ids)
    assert np.all(ids[offsets[:-1]] == tokenizer.vocab.bos_id)
    assert np.sum(ids == tokenizer.vocab.bos_id) == len(TEXTS) + 2
    assert offsets[1] == 1 and offsets[-1] - offsets[-2] == 1
    assert tokenizer.vocab.unk_id not in ids
    no_ids, no_offsets = tokenizer.encode([])
    assert no_ids.shape == (0,) and no_offsets.tolist() == [0]


@every_kind
def test_a_document_is_encoded_as_if_alone(kind):
    tokenizer = FITTED[kind]
    ids, offsets = tokenizer.encode(TEXTS)
    for i, text in enumerate(TEXTS):
        alone, _ = tokenizer.encode([text])
        assert np.array_equal(alone, ids[offsets[i] : offsets[i + 1]])


@every_kind
def test_pieces_and_batches_do_not_show(kind, monkeypatch):
    import re

    from sk_ulmfit.text import tokenizer

    expected = FITTED[kind].encode([*TEXTS, " ".join(TEXTS), "x" * 40, "", "a\n\nb  c"])
    monkeypatch.setattr(tokenizer, "_BATCH", 150)
    monkeypatch.setattr(
        tokenizer, "_IN_PIECES", re.compile(tokenizer._IN_PIECES.pattern.replace("50000", "15"))
    )
    found = FITTED[kind].encode([*TEXTS, " ".join(TEXTS), "x" * 40, "", "a\n\nb  c"])
    assert all(map(np.array_equal, found, expected))


@pytest.mark.parametrize(
    ("text", "kinds", "n_tokens"),
    [
        ("my card ! " * 333_333, ["word", "callable"], 999_999),
        ("b" * 49 + "ab" * 1_000_000, ["word", "subword", "callable"], None),
        ("n'" * 500_000, ["word"], None),
        ("日本" * 200_000, ["word"], 400_000),
        ("a.-" * 300_000, ["word"], None),
        ("\0\u200d😀" * 100_000, ["word", "subword"], None),
    ],
)
def test_long_documents(text, kinds, n_tokens):
    for kind in kinds:
        ids, offsets = FITTED[kind].encode([text, "card"])
        assert len(offsets) == 3 and offsets[-1] == len(ids)
        if n_tokens:
            assert offsets[1] == n_tokens + 1


@pytest.mark.parametrize("kind", ["word", "callable"])
def test_grow(kind):
    tokenizer = FITTED[kind]
    more = ["loan rate card loan rate card loan bank"]
    grown = tokenizer.grow(iter(more), max_vocab=1000, min_freq=2)
    n = len(tokenizer.vocab)
    assert grown.vocab.tokens == (*tokenizer.vocab.tokens, "loan", "rate")
    assert len(tokenizer.vocab) == n, "the old one stays as it was"
    assert grown.tokens(grown.encode(["card loan"])[0]) == ["xxbos", "card", "loan"]
    assert tokenizer.tokens(tokenizer.encode(["card loan"])[0]) == ["xxbos", "card", "xxunk"]
    assert len(tokenizer.grow(more, max_vocab=n + 1, min_freq=1).vocab) == n + 1
    for max_vocab in (n, 10):
        assert tokenizer.grow(more, max_vocab=max_vocab, min_freq=1) is tokenizer
    with pytest.raises(NotFittedError):
        UNFITTED[kind].grow(more, max_vocab=1000, min_freq=1)


def test_subwords_need_not_grow():
    tokenizer = FITTED["subword"]
    assert tokenizer.grow(["loan"], max_vocab=1000, min_freq=1) is tokenizer


@every_kind
def test_ids_outside_of_the_vocabulary(kind):
    with pytest.raises(ValueError, match="No token has the id -1"):
        FITTED[kind].tokens([2, -1])
    with pytest.raises(ValueError, match="No token has the id 1000"):
        FITTED[kind].decode(np.array([1000]))
    assert FITTED[kind].decode([]) == ""


def copies(tokenizer: Tokenizer) -> list[Tokenizer]:
    made = [copy.copy(tokenizer), copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))]
    if not isinstance(tokenizer, CallableTokenizer):
        made.append(tokenizer_from_dict(json.loads(json.dumps(tokenizer.to_dict()))))
    return made


@every_kind
def test_copies_are_equal(kind):
    tokenizer = UNFITTED[kind].fit(TEXTS, max_vocab=100, min_freq=1)
    expected = joblib.hash(tokenizer)
    ids, _ = tokenizer.encode(TEXTS)
    assert joblib.hash(tokenizer) == expected, "using it does not change it"
    again = UNFITTED[kind].fit(list(TEXTS), max_vocab=100, min_freq=1)
    for same in (*copies(tokenizer), *copies(copies(tokenizer)[-1]), again):
        assert joblib.hash(same) == expected
        assert same.vocab == tokenizer.vocab
        assert np.array_equal(same.encode(TEXTS)[0], ids)
        assert same.decode(ids) == tokenizer.decode(ids)
    assert joblib.hash(UNFITTED[kind].fit(TEXTS[1:], max_vocab=100, min_freq=1)) != expected
    assert joblib.hash(UNFITTED[kind]) == joblib.hash(copy.deepcopy(UNFITTED[kind]))


def test_unfitted_cannot_be_described():
    with pytest.raises(NotFittedError):
        WordTokenizer().to_dict()


def test_callable_cannot_be_described():
    with pytest.raises(ValueError, match=r"cannot be saved as JSON.*joblib\.dump.*'word'"):
        FITTED["callable"].to_dict()


@pytest.mark.parametrize("wrong", [lambda text: text, lambda text: [1, 2]])
def test_callable_has_to_return_tokens(wrong):
    with pytest.raises(TypeError, match="has to return a list of str"):
        CallableTokenizer(wrong).fit(TEXTS, max_vocab=100, min_freq=1)


def test_unknown_description():
    with pytest.raises(ValueError, match="'spacy': expected word or subword"):
        tokenizer_from_dict({"kind": "spacy", "tokens": []})
    with pytest.raises(ValueError, match="lacks xxunk"):
        tokenizer_from_dict({"kind": "word", "tokens": ["card"]})


SOUND = {"kind": "subword", "tokens": [*SPECIAL_TOKENS, "a", "b", "ab"], "merges": ["a b"]}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": ["word"]},
        {"kind": None},
        {"kind": "callable"},
        {"tokens": None},
        {"tokens": "abc"},
        {"tokens": {token: 0 for token in SOUND["tokens"]}},
        {"tokens": [*SOUND["tokens"], 7]},
        {"tokens": [*SOUND["tokens"], "a"]},
        {"tokens": [*SOUND["tokens"], "\ud800"]},
        {"merges": ["a c"]},
        {"merges": ["b a"]},
        {"merges": ["ab"]},
        {"merges": [""]},
        {"merges": [["a", "b"]]},
        {"merges": "a b"},
        {"merges": None},
    ],
)
def test_a_description_that_cannot_be_right_is_refused_when_it_is_read(change):
    assert tokenizer_from_dict(SOUND).tokens([11]) == ["ab"]
    with pytest.raises(ValueError):
        tokenizer_from_dict({**SOUND, **change})
    if "merges" not in change and change.get("kind", "") == "":
        with pytest.raises(ValueError):
            tokenizer_from_dict({**SOUND, "kind": "word", **change})
    for name in ("tokens", "merges"):
        with pytest.raises(ValueError):
            tokenizer_from_dict({key: value for key, value in SOUND.items() if key != name})
    with pytest.raises(ValueError):
        tokenizer_from_dict([change])


pieces = st.text("ab▁ x\0é", max_size=3)


@given(
    tokens=st.lists(pieces | st.sampled_from(["\ud800", "a", "b", "ab"]), unique=True, max_size=8),
    merges=st.lists(pieces | st.sampled_from(["a b", "▁ a", " a"]), max_size=4),
    kind=st.sampled_from(["word", "subword"]),
)
def test_what_is_read_can_be_used(tokens, merges, kind):
    description = {"kind": kind, "tokens": [*SPECIAL_TOKENS, *tokens], "merges": merges}
    try:
        tokenizer = tokenizer_from_dict(description)
    except ValueError:
        return
    ids, _ = tokenizer.encode(["ab xéa", "", *TEXTS[:2]])
    tokenizer.decode(ids)
    tokenizer.spans("ab xéa")


THAI = ["ฉันชอบร้านนี้มาก", "อาหารวันนี้แย่มาก", "เรารักร้านนี้", "ร้านนี้ช้าและแพง"]
WITHOUT_SPACES = {
    "Thai": (THAI, ["ฉันรักอาหารร้านนี้", "วันนี้ช้ามาก"]),
    "Lao": (["ຂ້ອຍມັກຮ້ານນີ້", "ຮ້ານນີ້ຊ້າ"], ["ຮ້ານມັກຊ້າ"]),
    "Khmer": (["ខ្ញុំចូលចិត្តហាងនេះ", "ហាងនេះយឺត"], ["ហាងយឺត"]),
    "Burmese": (["ဒီဆိုင်ကိုကြိုက်တယ်", "ဒီဆိုင်နှေးတယ်"], ["ဆိုင်နှေးတယ်"]),
    "Chinese": (["我喜欢这家店", "这家店很慢"], ["店很慢"]),
}


@pytest.mark.parametrize(("texts", "others"), WITHOUT_SPACES.values(), ids=WITHOUT_SPACES)
def test_scripts_without_spaces_are_split_by_character(texts, others):
    tokenizer = WordTokenizer().fit(texts * 2, max_vocab=200, min_freq=2)
    for text in [*texts, *others]:
        ids, _ = tokenizer.encode([text])
        assert tokenizer.tokens(ids)[1:] == list(text)
        assert tokenizer.decode(ids) == text
        assert tokenizer.spans(text)[1:] == [(i, i + 1) for i in range(len(text))]


def test_numbers_and_marks_among_them_are_as_elsewhere():
    assert words_of("ราคา ๑๒๐ บาท, iPhone 15!") == [
        *"ราคา", "๑๒๐", *"บาท", ",", "iphone", "15", "!"
    ]  # fmt: skip


def test_make_tokenizer():
    assert type(make_tokenizer("word")) is WordTokenizer
    assert type(make_tokenizer("subword")) is SubwordTokenizer
    assert make_tokenizer(split).function is split
    assert make_tokenizer(FITTED["word"]) is FITTED["word"]
    with pytest.raises(ValueError, match="got 'spacy'"):
        make_tokenizer("spacy")
    for wrong in (None, 3, WordTokenizer):
        with pytest.raises(TypeError, match="The tokenizer has to be"):
            make_tokenizer(wrong)


PRINT_HASHES = """
import joblib, sys
from sk_ulmfit.text.tokenizers import make_tokenizer
texts = sys.stdin.read().splitlines()
for kind in ("word", "subword"):
    print(joblib.hash(make_tokenizer(kind).fit(texts, max_vocab=90, min_freq=1)))
"""


def test_the_same_in_every_process():
    # Ties are many here: most words and pairs occur once or twice.
    here = [
        joblib.hash(make_tokenizer(kind).fit(TEXTS, max_vocab=90, min_freq=1))
        for kind in ("word", "subword")
    ]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PRINT_HASHES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in running:
        found, _ = process.communicate("\n".join(TEXTS))
        assert found.split() == here


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_works_in_forked_processes():
    tokenizer = FITTED["word"]
    ids, _ = tokenizer.encode(TEXTS)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found, _ = pool.apply_async(tokenizer.encode, (TEXTS,)).get(timeout=60)
    assert np.array_equal(found, ids)


hard_characters = st.one_of(
    st.characters(),
    st.characters(categories=["Cs"]),  # surrogates
    st.sampled_from("aA0 \n'\u2019.-_@:)x▁日😀\u200d\ufe0f\0\x1c\x85\u0301"),
)


@every_kind
@given(texts=st.lists(st.text(hard_characters), max_size=4))
def test_any_text(kind, texts):
    tokenizer = FITTED[kind]
    ids, offsets = tokenizer.encode(texts)
    assert len(offsets) == len(texts) + 1 and offsets[-1] == len(ids)
    assert np.all(np.diff(offsets) >= 1)
    assert np.all(ids[offsets[:-1]] == tokenizer.vocab.bos_id)
    assert len(tokenizer.tokens(ids)) == len(ids)
    tokenizer.decode(ids).encode()


@every_kind
@given(texts=st.lists(st.text(hard_characters), max_size=3), max_vocab=st.integers(10, 60))
@example(texts=["0\x1f{"], max_vocab=15)
def test_any_corpus(kind, texts, max_vocab):
    tokenizer = UNFITTED[kind].fit(texts, max_vocab=max_vocab, min_freq=1)
    assert len(tokenizer.vocab) <= max_vocab
    ids, _ = tokenizer.encode(texts)
    assert tokenizer.decode(ids) is not None


def test_subwords_that_spell_a_special_token_are_not_learned():
    texts = ["XXUNKXUNK xxunkxunk", "xxmajx xxmajx xxmajxy axxmaj"] * 5
    tokenizer = SubwordTokenizer().fit(texts, max_vocab=200, min_freq=1)
    ids, _ = tokenizer.encode(texts)
    tokens = tokenizer.tokens(ids)
    assert tokens.count("xxunk") == 0 and "xunk" in "".join(tokens)
    assert tokenizer.decode(ids).count("unk") == 20


@given(text=st.text(hard_characters))
def test_words_lose_no_character(text):
    from sk_ulmfit.text.rules import apply_rules

    clean = apply_rules(text)
    kept = "".join(WordTokenizer()._split(clean))
    assert "".join(kept.split()) == "".join(clean.split())


@given(ids=st.lists(st.integers(0, len(FITTED["word"].vocab) - 1)))
def test_any_ids_can_be_read(ids):
    assert FITTED["word"].decode(ids) == FITTED["word"].decode(np.array(ids, dtype=np.int32))


def test_a_function_may_return_a_generator():
    """It can be read only once: checking its tokens must not use them up."""

    def generate(text):
        yield from text.split()

    tokenizer = CallableTokenizer(generate).fit(["so be it"], max_vocab=20, min_freq=1)
    ids = tokenizer.encode(["be it so"])[0]
    assert tokenizer.tokens(ids) == ["xxbos", "be", "it", "so"]


@pytest.mark.parametrize("wrong", [None, 3, "so be it", [1, 2], ["so", None]], ids=str)
def test_a_function_that_returns_no_tokens_is_named(wrong):
    with pytest.raises(TypeError, match=r"has to return a list of str, got"):
        CallableTokenizer(lambda text: wrong).fit(["so be it"], max_vocab=20, min_freq=1)
