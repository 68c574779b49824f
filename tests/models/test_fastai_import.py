"""Reading fastai's language models: every layout, and every way for a file to be wrong.

The files are made here, in the layouts of the published ones and at small sizes; that fastai
computes the same with its own files is tested in test_fastai_parity.py.
"""

from __future__ import annotations

import collections
import io
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import torch

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.models.fastai import read_fastai
from sk_ulmfit.pretrained import TrainedLanguageModel, load_pretrained
from sk_ulmfit.text.rules import SPECIAL_TOKENS
from sk_ulmfit.text.vocabulary import Vocabulary
from sk_ulmfit.text.words import WordTokenizer

WORDS = ["the", "card", "bank", "is", "not", "here", "."]
TOKENS = [*SPECIAL_TOKENS, *WORDS]  # the published order
TEXT = "The card is not here. The bank is."


def make_model(*, n_layers=3, hidden_size=10, tokens=TOKENS, seed=0):
    """Make a language model with a bias of its own for every word."""
    sizes = {"emb_size": 6, "hidden_size": hidden_size, "n_layers": n_layers}
    tokenizer = WordTokenizer(Vocabulary(tokens))
    model = TrainedLanguageModel.random(tokenizer, ("forward",), seed, **sizes)
    rng = np.random.default_rng(seed)
    model.weights["forward"]["bias"] = rng.normal(size=len(tokens)).astype(np.float32)
    return model


def state_of(model):
    """Name the weights as the published files do."""
    weights = {name: torch.from_numpy(a.copy()) for name, a in model.weights["forward"].items()}
    embedding = weights["encoder.embedding"]
    state = {"0.encoder.weight": embedding, "0.encoder_dp.emb.weight": embedding}
    for i in range(model.n_layers):
        layer = f"encoder.layers.{i}"
        state[f"0.rnns.{i}.weight_hh_l0_raw"] = weights[f"{layer}.weight_hh"]
        for part in ("weight_ih", "bias_ih", "bias_hh"):
            state[f"0.rnns.{i}.module.{part}_l0"] = weights[f"{layer}.{part}"]
    return {**state, "1.decoder.weight": embedding, "1.decoder.bias": weights["bias"]}


def with_rows(state, rows):
    """Pick the rows of words, also in another order."""
    return {name: t if "rnns" in name else t[rows] for name, t in state.items()}


def bytes_of(state, **options):
    buffer = io.BytesIO()
    torch.save(state, buffer, **options)
    return buffer.getvalue()


def write(directory, state, tokens=TOKENS, weights_name="lm.pth", vocab_name="itos_wt103.pkl"):
    """Write weights, with the vocabulary beside them."""
    directory.mkdir(exist_ok=True)
    (directory / vocab_name).write_bytes(pickle.dumps(tokens))
    (directory / weights_name).write_bytes(state if isinstance(state, bytes) else bytes_of(state))
    return directory / weights_name


def logits(model, text=TEXT):
    """Logits of a text, in the order of the vocabulary."""
    ids, _ = model.tokenizer.encode([text])
    (direction,) = model.directions
    module = model.module(direction).eval()
    with torch.no_grad():
        hidden = module(torch.from_numpy(ids.astype(np.int64))[:, None]).hidden
        return module.logits(hidden)[:, 0].numpy()


def assert_same(found, expected):
    """Compare sizes, tokens and weights."""
    assert found.tokenizer.vocab == expected.tokenizer.vocab
    assert found.sizes == expected.sizes
    (weights,), (of_expected,) = found.weights.values(), expected.weights.values()
    assert weights.keys() == of_expected.keys()
    for name, array in weights.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, of_expected[name], err_msg=name)


# ---------------------------------------------------------------------------- what can be read


def raw_in_module(state):
    return {name.replace(".weight_hh", ".module.weight_hh"): t for name, t in state.items()}


def no_weight_drop(state):
    return {name.replace("_raw", "").replace(".module", ""): t for name, t in state.items()}


def stale_beside_raw(state):
    stale = {
        f"0.rnns.{i}.module.weight_hh_l0": 9 * state[f"0.rnns.{i}.weight_hh_l0_raw"]
        for i in range(3)
    }
    return {**stale, **state}


def stale_after_raw(state):
    return dict(reversed(stale_beside_raw(state).items()))


def with_optimizer(state):
    return {"model": state, "opt": {"state": [{"step": 3}], "hypers": [{"lr": 0.1}]}}


def alone_in_model(state):
    return {"model": state}


def ordered(state):
    return collections.OrderedDict(state)


def not_sharing_memory(state):
    return {name: tensor.clone() for name, tensor in state.items()}


def parameters(state):
    return {name: torch.nn.Parameter(tensor) for name, tensor in state.items()}


LAYOUTS = [
    dict,
    ordered,
    raw_in_module,
    no_weight_drop,
    stale_beside_raw,
    stale_after_raw,
    with_optimizer,
    alone_in_model,
    not_sharing_memory,
    parameters,
]


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old pickle"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_a_language_model(layout, zipped, tmp_path):
    model = make_model()
    data = bytes_of(layout(state_of(model)), _use_new_zipfile_serialization=zipped)
    assert_same(read_fastai(write(tmp_path, data)), model)


@pytest.mark.parametrize("prefix", ["", "0."])
@pytest.mark.parametrize("layout", [dict, raw_in_module, stale_beside_raw])
def test_encoder_alone_has_no_bias(layout, prefix, tmp_path):
    model = make_model()
    state = {
        name.replace("0.", prefix, 1): tensor
        for name, tensor in layout(state_of(model)).items()
        if name.startswith("0.")
    }
    model.weights["forward"]["bias"][:] = 0
    assert_same(read_fastai(write(tmp_path, state)), model)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old pickle"])
def test_files_of_2018(zipped, tmp_path):
    model = make_model()
    state = raw_in_module(state_of(model))
    state["0.encoder_with_dropout.embed.weight"] = state.pop("0.encoder_dp.emb.weight")
    del state["1.decoder.bias"]
    data = bytes_of(state, _use_new_zipfile_serialization=zipped)
    tokens = ["_unk_", "_pad_", "xbos", *TOKENS[3:]]
    model.weights["forward"]["bias"][:] = 0
    assert_same(read_fastai(write(tmp_path, data, tokens, "fwd_wt103.h5")), model)


def test_tensors_pickled_by_torch_before_0_4(tmp_path, monkeypatch):
    def reduce(tensor, protocol):
        storage = tensor._typed_storage()
        return torch._utils._rebuild_tensor, (storage, 0, tuple(tensor.shape), tensor.stride())

    model = make_model()
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "__reduce_ex__", reduce)
        data = bytes_of(state_of(model), _use_new_zipfile_serialization=False)
    assert b"_rebuild_tensor\n" in data
    assert_same(read_fastai(write(tmp_path, data)), model)


def test_settings_of_the_optimizer_are_refused_with_the_way_out(tmp_path, monkeypatch):
    # learn.save keeps them in a list class of fastcore.
    L = type("L", (), {"__module__": "fastcore.foundation"})
    settings = L()
    settings.items = [{"lr": 0.1}]
    module = types.ModuleType("fastcore.foundation")
    module.L = L
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "fastcore", types.ModuleType("fastcore"))
        patch.setitem(sys.modules, "fastcore.foundation", module)
        data = bytes_of({"model": state_of(make_model()), "opt": {"hypers": settings}})
    with pytest.raises(ValueError, match=r"fastcore\.foundation\.L, .*with_opt=False"):
        read_fastai(write(tmp_path, data))


@pytest.mark.parametrize("hidden_size", [3, 24])
@pytest.mark.parametrize("n_layers", [1, 2, 4])
def test_sizes_come_from_the_weights(n_layers, hidden_size, tmp_path):
    model = make_model(n_layers=n_layers, hidden_size=6 if n_layers == 1 else hidden_size)
    assert_same(read_fastai(write(tmp_path, state_of(model))), model)


def test_half_precision(tmp_path):
    model = make_model()
    path = write(tmp_path, {name: tensor.half() for name, tensor in state_of(model).items()})
    for name, array in model.weights["forward"].items():
        model.weights["forward"][name] = array.astype(np.float16).astype(np.float32)
    assert_same(read_fastai(path), model)


def test_weights_are_copies_that_pickle_small(tmp_path):
    # Views of one storage would drag all of it along.
    storage = torch.arange(4000, dtype=torch.float32)
    state = {name: storage[: t.numel()].view_as(t) for name, t in state_of(make_model()).items()}
    for array in read_fastai(write(tmp_path, state)).weights["forward"].values():
        assert array.flags.owndata and array.flags.c_contiguous and array.flags.writeable


# ----------------------------------------------------------------------------------- vocabulary


def test_another_order_of_the_vocabulary_gives_the_same_logits(tmp_path):
    model = make_model()
    order = np.random.default_rng(1).permutation(len(TOKENS))
    state = with_rows(state_of(model), order)
    found = read_fastai(write(tmp_path, state, [TOKENS[i] for i in order]))
    assert found.tokenizer.vocab.unk_id != 0
    np.testing.assert_array_equal(logits(found), logits(model)[:, order])


def test_filling_tokens_are_dropped_with_their_rows(tmp_path):
    state = state_of(make_model(tokens=[*TOKENS, "fill1", "fill2", "fill3", "late"]))
    tokens = [*TOKENS, "xxfake", "xxfake", "xxfake", "late"]
    found = read_fastai(write(tmp_path, state, tokens))
    assert found.tokenizer.vocab.tokens == (*TOKENS, "late")
    expected = state["0.encoder.weight"][[*range(len(TOKENS)), -1]]
    np.testing.assert_array_equal(found.weights["forward"]["encoder.embedding"], expected)
    np.testing.assert_array_equal(found.weights["forward"]["bias"][-1], state["1.decoder.bias"][-1])


def test_rows_beyond_the_vocabulary_are_dropped(tmp_path):
    model = make_model()
    state = state_of(make_model(tokens=[*TOKENS, "fill1", "fill2"]))
    found = read_fastai(write(tmp_path, state))
    assert found.tokenizer.vocab == model.tokenizer.vocab
    expected = state["0.encoder.weight"][: len(TOKENS)]
    np.testing.assert_array_equal(found.weights["forward"]["encoder.embedding"], expected)


def test_of_equal_tokens_the_last_row_counts(tmp_path):
    # fastai's table from words to ids is a dict made in order of the vocabulary.
    state = state_of(make_model(tokens=[*TOKENS, "again"]))
    found = read_fastai(write(tmp_path, state, [*TOKENS, "card"]))
    assert found.tokenizer.vocab.tokens == tuple(TOKENS)
    row = found.weights["forward"]["encoder.embedding"][TOKENS.index("card")]
    np.testing.assert_array_equal(row, state["0.encoder.weight"][-1])


OLD_TOKENS = ["_unk_", "_pad_", "xbos", "xfld", "t_up", "tk_rep", "tk_wrep", *WORDS]
RENAMED = ("xxunk", "xxpad", "xxbos", "xxfld", "xxup", "xxrep", "xxwrep", *WORDS)


def test_old_names_of_special_tokens(tmp_path):
    state = with_rows(state_of(make_model()), slice(len(OLD_TOKENS)))
    found = read_fastai(write(tmp_path, state, OLD_TOKENS))
    assert found.tokenizer.vocab.tokens == (*RENAMED, "xxeos", "xxmaj")
    kept = found.weights["forward"]["encoder.embedding"][: len(RENAMED)]
    np.testing.assert_array_equal(kept, state["0.encoder.weight"])


def test_special_tokens_that_lack_get_the_means(tmp_path):
    state = with_rows(state_of(make_model()), slice(len(OLD_TOKENS)))
    weights = read_fastai(write(tmp_path, state, OLD_TOKENS)).weights["forward"]
    mean = state["0.encoder.weight"].double().mean(dim=0).float()
    for row in weights["encoder.embedding"][-2:]:
        np.testing.assert_array_equal(row, mean)
    assert (weights["bias"][-2:] == state["1.decoder.bias"].double().mean().float().item()).all()


def test_an_old_name_beside_the_new_one_is_a_word(tmp_path):
    state = state_of(make_model(tokens=[*TOKENS, "<unk>", "xbos"]))
    found = read_fastai(write(tmp_path, state, [*TOKENS, "<unk>", "xbos"]))
    assert found.tokenizer.vocab.tokens == (*TOKENS, "<unk>", "xbos")


# ---------------------------------------------------------------------- names, paths, directions


@pytest.mark.parametrize(
    ("folder", "name", "direction"),
    [
        ("wt103-fwd", "lstm_fwd.pth", "forward"),
        ("wt103-bwd", "lstm.pth", "backward"),
        ("wt103", "lstm_bwd.pth", "backward"),
        ("model", "Backward.h5", "backward"),
    ],
)
def test_direction_from_the_name(folder, name, direction, tmp_path):
    path = write(tmp_path / folder, state_of(make_model()), weights_name=name).parent
    assert read_fastai(path).directions == (direction,)
    assert read_fastai(path, direction="forward").directions == ("forward",)


def test_folders_above_do_not_tell_the_direction(tmp_path):
    assert read_fastai(write(tmp_path / "bwd", state_of(make_model()))).directions == ("forward",)


def test_a_directory(tmp_path):
    directory = write(tmp_path / "bwd", state_of(make_model())).parent
    (directory / "README.md").touch()
    (directory / "._lm.pth").touch()
    found = read_fastai(str(directory))
    assert found.directions == ("backward",)
    np.testing.assert_array_equal(logits(found), logits(make_model()))


def test_the_vocabulary_beside_the_weights(tmp_path):
    model = make_model()
    path = write(tmp_path, state_of(model), vocab_name="itos_lm.pkl")
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(["no"]))
    assert_same(read_fastai(path), model)
    (tmp_path / "itos_lm.pkl").rename(tmp_path / "third.pkl")
    with pytest.raises(FileNotFoundError, match=r"lm.pkl, or give its path as vocab"):
        read_fastai(path)
    assert_same(read_fastai(path, tmp_path / "third.pkl"), model)
    with pytest.raises(FileNotFoundError, match=r"no vocabulary .*fourth.pkl"):
        read_fastai(path, tmp_path / "fourth.pkl")


def test_paths_that_hold_no_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file or directory .*absent.tgz"):
        read_fastai(tmp_path / "absent.tgz")
    with pytest.raises(FileNotFoundError, match="no file of weights"):
        read_fastai(tmp_path)
    state = state_of(make_model())
    path = write(tmp_path, state)
    write(tmp_path, state, weights_name="enc.pth")
    with pytest.raises(ValueError, match=r"Which of enc.pth, lm.pth .* path of the file itself"):
        read_fastai(tmp_path)
    with pytest.raises(ValueError, match=r"Which of enc.pth"):
        read_fastai(tmp_path, tmp_path / "itos_wt103.pkl")
    archive = tmp_path / "wt103-fwd.tgz"
    archive.touch()
    with pytest.raises(ValueError, match=r"wt103-fwd.tgz is not a language model.*Unpack"):
        read_fastai(archive)
    with pytest.raises(ValueError, match="direction must be 'forward' or 'backward', got 'both'"):
        read_fastai(path, direction="both")


# ------------------------------------------------------------------------ through the estimators


def test_estimators_start_from_it(tmp_path):
    path = write(tmp_path / "wt103-bwd", state_of(make_model())).parent
    texts = ["The card is not here.", "The bank is here."] * 3
    for given in (path, str(path)):
        lm = ULMFiTLanguageModel(given, direction="backward", max_epochs=0).fit(texts)
        assert lm.vocab_ == tuple(TOKENS)
    language_model = ULMFiTLanguageModel(path, direction="backward", max_epochs=1)
    assert language_model.fit(texts).n_epochs_ == 1
    with pytest.raises(ValueError, match="has no forward direction, only backward"):
        ULMFiTLanguageModel(path).fit(texts)
    classifier = ULMFiTClassifier(path, max_epochs=1).fit(texts, ["card", "bank"] * 3)
    assert classifier.language_model_.direction == "backward"


def test_paths_are_told_apart(tmp_path):
    model = make_model()
    path = write(tmp_path / "fastai", state_of(model))
    for given in (path, str(path), path.parent):
        assert_same(load_pretrained(given), model)
    saved = tmp_path / "saved"
    ULMFiTLanguageModel.from_trained(model).save(saved)
    assert_same(load_pretrained(saved), model)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="is not a saved model"):
        load_pretrained(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"neither a file or directory.*unpacked"):
        load_pretrained("wt103-fwd")


# ----------------------------------------------------------------------------- what is refused


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("pwned",)

    def __repr__(self):
        # The same in every process: tests are named by it.
        return "RunsCode()"


@pytest.fixture
def in_tmp_path(tmp_path, monkeypatch):
    """Go where a file that runs code would leave its mark."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("vocab", "why"),
    [
        (RunsCode(), r"it holds .*GLOBAL"),
        ([*TOKENS, RunsCode()], r"it holds .*GLOBAL"),
        (collections.defaultdict(int), r"it holds .*pickle list\(vocab\)"),
        (collections.OrderedDict(a=1), r"it holds .*GLOBAL"),
        (np.array(TOKENS), r"it holds .*GLOBAL"),
        ({"the": 0}, "it holds EMPTY_DICT"),
        (tuple(TOKENS), "it holds TUPLE"),
        ([*TOKENS[:-1], 3], "it holds BININT1 3"),
        ([*TOKENS[:-1], b"the"], "it holds SHORT_BINBYTES"),
        ([*TOKENS[:-1], ["the"]], r"expected a list of str, got \["),
        ("the", "expected a list of str, got 'the'"),
        ([], r"expected a list of str, got \[\]"),
        ([*TOKENS[:-1], "\ud800"], "not valid Unicode"),
    ],
    ids=str,
)
def test_vocabularies_that_are_none(vocab, why, in_tmp_path):
    path = write(in_tmp_path, state_of(make_model()), vocab)
    with pytest.raises(ValueError, match=f"(?s)itos_wt103.pkl .*{why}"):
        read_fastai(path)


def test_vocabulary_that_is_cut_off(tmp_path):
    path = write(tmp_path, state_of(make_model()))
    vocab = tmp_path / "itos_wt103.pkl"
    vocab.write_bytes(vocab.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"itos_wt103.pkl is not a vocabulary.*exhausted"):
        read_fastai(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old pickle"])
@pytest.mark.parametrize("place", ["alone", "among the weights", "beside the model"])
def test_weights_that_run_code(place, zipped, in_tmp_path):
    state = state_of(make_model())
    states = {
        "alone": RunsCode(),
        "among the weights": {**state, "x": RunsCode()},
        "beside the model": {"model": state, "opt": RunsCode()},
    }
    data = bytes_of(states[place], _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"lm.pth cannot be read as weights.*(posix|nt)\.mkdir"):
        read_fastai(write(in_tmp_path, data))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old pickle"])
@pytest.mark.parametrize("part", [0, 0.01, 0.3, 0.9, 0.999])
def test_weights_that_are_cut_off(part, zipped, tmp_path):
    data = bytes_of(state_of(make_model()), _use_new_zipfile_serialization=zipped)
    path = write(tmp_path, data[: int(part * len(data))])
    with pytest.raises(ValueError, match=r"lm.pth cannot be read as weights .* incomplete"):
        read_fastai(path)


def test_weights_that_are_compressed(tmp_path):
    path = write(tmp_path, state_of(make_model()))
    small = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    path.write_bytes(small.getvalue())
    with pytest.raises(ValueError, match=r"lm.pth cannot be read .* compressed"):
        read_fastai(path)


def replaced(name, tensor):
    return lambda state: {**state, name: tensor}


def without(*names):
    return lambda state: {name: tensor for name, tensor in state.items() if name not in names}


def damaged(name, value):
    def damage(state):
        state[name].view(-1)[3] = value
        return state

    return damage


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without("0.rnns.1.module.bias_ih_l0"), r"lacks the weights of layers\.1\.bias_ih"),
        (without("0.rnns.2.weight_hh_l0_raw"), r"lacks the weights of layers\.2\.weight_hh"),
        (
            without("0.encoder.weight", "0.encoder_dp.emb.weight", "1.decoder.weight"),
            "lacks the weights of embedding",
        ),
        (lambda state: {"0.encoder.weight": state["0.encoder.weight"]}, r"lacks .*layers\.0"),
        (lambda state: {}, "not the state dict"),
        (lambda state: list(state.values()), "not the state dict"),
        (lambda state: {**state, "epoch": 3}, "'epoch' in it is a int"),
        (lambda state: {3: state["1.decoder.bias"]}, "3 in it is a Tensor"),
        (damaged("1.decoder.bias", float("nan")), r"1\.decoder\.bias holds .* not finite"),
        (damaged("0.rnns.0.weight_hh_l0_raw", float("inf")), "not finite"),
        (replaced("1.decoder.weight", torch.zeros(16, 6)), r"differ.*tie_weights=True"),
        (replaced("1.decoder.bias", torch.zeros(5)), r"bias is \(5,\), expected \(16,\)"),
        (replaced("0.rnns.1.module.weight_ih_l0", torch.zeros(40, 9)), r".*weight_ih is \(40, 9\)"),
        (replaced("0.rnns.0.weight_hh_l0_raw", torch.zeros(30, 10)), r"expected \(40, 10\)"),
        (replaced("0.rnns.0.weight_hh_l0_raw", torch.tensor(1.0)), "have to be matrices"),
        (replaced("1.decoder.bias", torch.zeros(16).int()), r"has the type torch\.int32"),
        (
            replaced("1.decoder.bias", torch.zeros(16).to_sparse()),
            "refers to torch._utils._rebuild_sp",
        ),
        (replaced("1.decoder.bias", torch.zeros(1).expand(16)), "claims more values"),
        (
            replaced("0.rnns.0.layers.0.linear.weight_raw", torch.zeros(9)),
            r"does not have: 0\.rnns",
        ),
        (replaced("0.rnns.0.module.weight_hh_l0_reverse", torch.zeros(9)), r"does not have"),
        (replaced("0.layers.0.mhra.attention.weight", torch.zeros(9)), r"Transformer"),
        (replaced("1.layers.1.0.weight", torch.zeros(9)), r"a classifier\) cannot be read"),
    ],
)
def test_weights_of_something_else(change, why, tmp_path):
    path = write(tmp_path, change(state_of(make_model())))
    with pytest.raises(ValueError, match=f"(?s)lm.pth.* {why}"):
        read_fastai(path)


def test_softmax_that_is_not_tied(tmp_path):
    state = state_of(make_model())
    state["1.decoder.weight"] = state["1.decoder.weight"] + 1
    with pytest.raises(ValueError, match=r"1\.decoder\.weight differ"):
        read_fastai(write(tmp_path, state))


@pytest.mark.parametrize("tokens", [[*TOKENS, "more"], TOKENS[:3], ["xxfake"]])
def test_vocabulary_of_other_weights(tokens, tmp_path):
    state = state_of(make_model(tokens=[*TOKENS, *map(str, range(100))][: 16 + 60]))
    if len(tokens) > len(TOKENS):
        state = with_rows(state, slice(len(TOKENS)))
    with pytest.raises(ValueError, match=r"itos_wt103.pkl has .* rows: they do not belong"):
        read_fastai(write(tmp_path, state, tokens))


# ----------------------------------------------------- what would fill memory, or be waited for


@pytest.mark.parametrize("index", [2**16, 2**26, 2**32 - 1])
def test_a_vocabulary_with_a_far_memo_index(index, tmp_path):
    path = write(tmp_path, state_of(make_model()))
    pickled = b"\x80\x02]X\x01\x00\x00\x00ar" + index.to_bytes(4, "little") + b"a."
    (tmp_path / "itos_wt103.pkl").write_bytes(pickled)
    with pytest.raises(ValueError, match=r"itos_wt103.pkl .* more entries than bytes"):
        read_fastai(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old pickle"])
@pytest.mark.parametrize(
    "change",
    [
        # ties of one number, which would be compared for ever
        lambda t: {name: torch.zeros(1).expand(10**6, 10**6) for name in t if "weight" in name},
        lambda t: {"0.encoder.weight": torch.zeros(1).as_strided((10**5, 10**5), (0, 0))},
        lambda t: (
            {f"0.rnns.{i}.weight_hh_l0_raw": torch.zeros(10**4) for i in range(999)}
            | {
                f"0.rnns.{i}.weight_hh_l0_raw": t["1.decoder.bias"].expand(900, 16)
                for i in range(999)
            }
        ),
    ],
)
def test_a_few_numbers_that_claim_to_be_many(change, zipped, tmp_path):
    state = state_of(make_model())
    data = bytes_of({**state, **change(state)}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"lm.pth.*claims more values than there are"):
        read_fastai(write(tmp_path, data))


def test_views_that_come_to_more_than_the_file(tmp_path):
    storage = torch.zeros(10**5)
    state = {f"0.rnns.{i}.weight_hh_l0_raw": storage for i in range(50)}
    with pytest.raises(ValueError, match=r"lm.pth.*claims more values than there are"):
        read_fastai(write(tmp_path, state))


@pytest.mark.parametrize("allocate", [b"c__builtin__\nbytearray\n", b"cbuiltins\nbytearray\n"])
def test_what_only_takes_memory(allocate, tmp_path):
    # torch's list of what may be called has it.
    pickles = [pickle.dumps(part, 2) for part in (torch.serialization.MAGIC_NUMBER, 1001, {})]
    call = b"\x80\x02" + allocate + b"\x8a\x05" + (10**11).to_bytes(5, "little") + b"\x85R."
    data = b"".join([*pickles, call, pickle.dumps([], 2)])
    with pytest.raises(ValueError, match=r"lm.pth cannot be read.* refers to \w+\.bytearray"):
        read_fastai(write(tmp_path, data))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
@pytest.mark.parametrize("name", ["lm.pth", "itos_wt103.pkl"])
def test_a_fifo_is_not_waited_for(name, tmp_path):
    path = write(tmp_path, state_of(make_model()))
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    for given in (path, tmp_path):
        with pytest.raises(FileNotFoundError):
            read_fastai(given, tmp_path / "itos_wt103.pkl")
        with pytest.raises((FileNotFoundError, ValueError)):
            load_pretrained(given)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old pickle"])
@pytest.mark.parametrize("name", ["lm.pth", "itos_wt103.pkl"])
def test_a_file_that_is_damaged_anywhere_is_read_or_named(name, zipped, tmp_path):
    path = write(tmp_path, bytes_of(state_of(make_model()), _use_new_zipfile_serialization=zipped))
    content = (tmp_path / name).read_bytes()
    random = np.random.default_rng(0)
    n_read = 0
    for _ in range(100):
        damaged = bytearray(content)
        for place in random.integers(len(content), size=random.integers(1, 4)):
            damaged[place] = random.integers(256)
        (tmp_path / name).write_bytes(damaged)
        try:
            found = read_fastai(path)
        except ValueError as error:
            assert str(tmp_path) in str(error)
        else:
            assert np.isfinite(logits(found)).all()
            n_read += 1
    assert n_read < 100
