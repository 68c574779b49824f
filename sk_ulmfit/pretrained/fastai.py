"""Language models that fastai published or saved, turned into ours."""

from __future__ import annotations

import os
import re

import numpy as np
import torch
from torch import Tensor

from ..models.language_model import TrainedLanguageModel, Weights
from ..modules.awd_lstm import EncoderSizes
from ..text.rules import BOS, EOS, FLD, MAJ, PAD, REP, SPECIAL_TOKENS, UNK, UP, WREP
from ..text.vocabulary import Vocabulary
from ..text.words import WordTokenizer
from .fastai_files import FastaiFiles, read_files

# What fastai fills a vocabulary up with, to a length that suits the hardware. Where the tokens
# that fill it were left out of the vocabulary's file, the weights have some more rows than that.
FILLER = "xxfake"
MAX_FILLER = 63

# How versions before 1.0, and WikiText, spelled the special tokens.
OLD_NAMES = {
    "_unk_": UNK,
    "<unk>": UNK,
    "_pad_": PAD,
    "<pad>": PAD,
    "_bos_": BOS,
    "xbos": BOS,
    "_eos_": EOS,
    "<eos>": EOS,
    "xfld": FLD,
    "tk_maj": MAJ,
    "t_up": UP,
    "tk_up": UP,
    "tk_rep": REP,
    "tk_wrep": WREP,
}

# Names of the weights that are not the LSTM's, without the "0." that the encoder's have in a
# whole language model. Embedding and softmax share theirs.
_NAMES = {
    "encoder.weight": "encoder.embedding",
    "encoder_dp.emb.weight": "encoder.embedding",
    "encoder_with_dropout.embed.weight": "encoder.embedding",
    "1.decoder.weight": "encoder.embedding",
    "1.decoder.bias": "bias",
}
_LSTM_NAME = re.compile(r"rnns\.(\d{1,3})\.(?:module\.)?((?:weight|bias)_(?:ih|hh))_l0(_raw)?")


def read_fastai(
    path: str | os.PathLike[str],
    vocab: str | os.PathLike[str] | None = None,
    *,
    direction: str | None = None,
) -> TrainedLanguageModel:
    """Read an AWD-LSTM language model of fastai.

    Every layout that fastai's versions have written since 2018 is known, in 32 and in 16 bits.
    All sizes are taken from the weights. A special token that the vocabulary lacks gets the mean
    embedding and the mean bias, as new words do in fine-tuning; filling tokens are left out.

    Parameters
    ----------
    path : str or path
        An archive (``wt103-fwd.tgz``) or a directory that holds one file of weights (``.pth`` or
        ``.h5``) and one vocabulary (``.pkl``); or the file of weights itself.
    vocab : str or path, default=None
        The vocabulary that belongs to a file of weights; by default the one beside it.
    direction : {"forward", "backward"}, default=None
        Direction in which the model reads. The weights do not tell; by default it is "backward"
        if the name of the file or directory has ``bwd`` or ``backward`` in it, else "forward".

    Returns
    -------
    TrainedLanguageModel
        Its texts are split by `WordTokenizer`, which follows the rules of those weights.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or not both of weights and vocabulary.
    ValueError
        If a file is damaged, holds something else than weights and words, or the two do not
        belong together.

    Notes
    -----
    Pickles can be made to run code when they are read. Here they cannot: the weights are read
    with ``weights_only=True``, and a vocabulary that is more than a list of str is refused.
    """
    if direction not in (None, "forward", "backward"):
        raise ValueError(f"direction must be 'forward' or 'backward', got {direction!r}.")
    files = read_files(path, vocab)
    if direction is None:
        says_backward = re.search("bwd|backward", " ".join(files.said_by).lower())
        direction = "backward" if says_backward else "forward"
    weights = _our_names(files.state, files.weights_name)
    sizes = _sizes(weights, files.weights_name)
    tokenizer, weights = _with_our_vocab(files, weights, sizes.vocab_size)
    return TrainedLanguageModel(
        tokenizer,
        emb_size=sizes.emb_size,
        hidden_size=sizes.hidden_size,
        n_layers=sizes.n_layers,
        weights={direction: weights},
    )


def _our_names(state: dict[str, Tensor], name: str) -> Weights:
    """Weights by the names of our `LanguageModel`, as float32."""
    found: dict[str, tuple[str, Tensor]] = {}
    not_raw: dict[str, tuple[str, Tensor]] = {}
    unknown = []
    for theirs, tensor in state.items():
        bare = theirs.removeprefix("0.")
        lstm = _LSTM_NAME.fullmatch(bare)
        ours = f"encoder.layers.{int(lstm[1])}.{lstm[2]}" if lstm else _NAMES.get(bare)
        if ours is None:
            unknown.append(theirs)
            continue
        place = not_raw if lstm and not lstm[3] else found
        if ours in place and not torch.equal(place[ours][1], tensor):
            raise ValueError(
                f"{name}: {place[ours][0]} and {theirs} differ. Only a language model whose "
                "softmax shares the weights of the embedding (tie_weights=True) can be read."
            )
        place[ours] = theirs, tensor
    if unknown:
        some = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        raise ValueError(
            f"{name} holds weights that an AWD-LSTM language model does not have: {some}. Other "
            "networks (QRNN, Transformer, a classifier) cannot be read."
        )
    # Beside a raw weight lies what DropConnect left of it in the last training step.
    chosen = {**not_raw, **found}
    return {ours: _to_array(tensor, theirs, name) for ours, (theirs, tensor) in chosen.items()}


def _to_array(tensor: Tensor, theirs: str, name: str) -> np.ndarray:
    if tensor.layout is not torch.strided or not tensor.is_floating_point():
        raise ValueError(f"{name}: {theirs} has the type {tensor.dtype}, expected float.")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"{name}: {theirs} claims more values than there are.")
    array: np.ndarray = tensor.detach().float().contiguous().numpy().copy()
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: {theirs} holds values that are not finite (NaN or infinite).")
    return array


def _sizes(weights: Weights, name: str) -> EncoderSizes:
    """Read the sizes off the shapes, and check all shapes against them."""
    n_layers = len({key.split(".")[2] for key in weights if key.startswith("encoder.layers.")})
    # What a missing weight is taken for does not matter: that it is missing is found below.
    embedding = weights.get("encoder.embedding", np.empty((0, 0)))
    first = weights.get("encoder.layers.0.weight_hh", np.empty((0, 0)))
    if embedding.ndim != 2 or first.ndim != 2:
        raise ValueError(f"{name}: the embedding and weight_hh_l0 have to be matrices.")
    emb_size = embedding.shape[1]
    hidden_size = first.shape[1] if n_layers > 1 else emb_size
    sizes = EncoderSizes(len(embedding), emb_size, hidden_size, max(n_layers, 1))
    shapes: dict[str, tuple[int, ...]] = {"encoder.embedding": (sizes.vocab_size, emb_size)}
    for layer in range(sizes.n_layers):
        n_in, n_out = sizes.of_layer(layer)
        prefix = f"encoder.layers.{layer}"
        shapes[f"{prefix}.weight_ih"] = (4 * n_out, n_in)
        shapes[f"{prefix}.weight_hh"] = (4 * n_out, n_out)
        shapes[f"{prefix}.bias_ih"] = shapes[f"{prefix}.bias_hh"] = (4 * n_out,)
    if missing := [key for key in shapes if key not in weights]:
        raise ValueError(
            f"{name} is not a whole AWD-LSTM: it lacks the weights of "
            f"{', '.join(key.removeprefix('encoder.') for key in missing)}."
        )
    shapes["bias"] = (sizes.vocab_size,)
    for key, array in weights.items():
        if array.shape != shapes[key] or array.size == 0:
            raise ValueError(
                f"{name}: the shapes do not make an AWD-LSTM whose last layer is as wide as its "
                f"embedding: {key.removeprefix('encoder.')} is {array.shape}, expected "
                f"{shapes[key]}."
            )
    return sizes


def _with_our_vocab(
    files: FastaiFiles, weights: Weights, n_rows: int
) -> tuple[WordTokenizer, Weights]:
    """Add the special tokens that are lacking, leave out the rows that belong to no word."""
    rows_of = _rows_of_tokens(files.tokens)
    rows = np.fromiter(rows_of.values(), dtype=np.int64)
    if not 0 <= n_rows - len(files.tokens) <= MAX_FILLER or rows.max() < 0:
        raise ValueError(
            f"{files.vocab_name} has {len(files.tokens):,} tokens, but the embedding in "
            f"{files.weights_name} has {n_rows:,} rows: they do not belong together."
        )
    weights = {"bias": np.zeros(n_rows, dtype=np.float32), **weights}
    for key in ("encoder.embedding", "bias"):
        kept = weights[key][rows]
        kept[rows < 0] = kept[rows >= 0].mean(axis=0, dtype=np.float64)
        weights[key] = kept
    return WordTokenizer(Vocabulary(rows_of)), weights


def _rows_of_tokens(tokens: list[str]) -> dict[str, int]:
    """Row of every token of our vocabulary, in order; -1 for the special tokens it lacks."""
    known = set(tokens)
    rows: dict[str, int] = {}
    for row, token in enumerate(tokens):
        ours = OLD_NAMES.get(token, token)
        if ours not in known:
            known.add(ours)  # only the first of two old names is replaced
            token = ours
        if token != FILLER:
            rows[token] = row  # of two that are equal, fastai reads texts with the last
    rows.update({token: -1 for token in SPECIAL_TOKENS if token not in rows})
    return rows
