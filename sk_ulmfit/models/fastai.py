"""Language models that fastai published or saved, turned into ours.

They are two files: weights that torch pickled, and a pickled list of tokens. A pickle can be made
to run code, and a few bytes of it to fill memory: what it asks for is looked through before it is
read, and it is read by what builds plain data and nothing else.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.serialization import MAGIC_NUMBER

from ..modules import LanguageModel
from ..modules.awd_lstm import EncoderSizes
from ..text.rules import BOS, EOS, FLD, MAJ, PAD, REP, SPECIAL_TOKENS, UNK, UP, WREP
from ..text.vocabulary import Vocabulary
from ..text.words import WordTokenizer
from .language_model import TrainedLanguageModel, Weights

WEIGHTS_SUFFIXES = (".pth", ".h5")
VOCAB_SUFFIX = ".pkl"

# All that the pickle of a list of str is made of.
_OF_STRINGS = re.compile(
    "PROTO|FRAME|STOP|MARK|(EMPTY_)?LIST|APPENDS?|(SHORT_BIN|BIN)?UNICODE8?"
    "|MEMOIZE|((LONG_)?BIN)?(PUT|GET)"
)
# What plain weights refer to.
_OF_WEIGHTS = re.compile(
    r"collections OrderedDict|torch \w+Storage|torch\._utils _rebuild_(tensor|tensor_v2|parameter)"
)

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
        The file of weights (``.pth`` or ``.h5``), or a directory that holds one, and one
        vocabulary (``.pkl``).
    vocab : str or path, default=None
        The vocabulary; by default the one beside the weights.
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
    """
    if direction not in (None, "forward", "backward"):
        raise ValueError(f"direction must be 'forward' or 'backward', got {direction!r}.")
    path = Path(path)
    weights_file = _only_weights(path) if path.is_dir() else path
    if not weights_file.is_file():
        raise FileNotFoundError(f"There is no file or directory {path}.")
    if weights_file.suffix not in WEIGHTS_SUFFIXES:
        raise ValueError(
            f"{path} is not a language model of fastai: expected a directory, or a file whose "
            f"name ends in {' or '.join(WEIGHTS_SUFFIXES)}. Unpack an archive first."
        )
    vocab_file = _vocab_beside(weights_file) if vocab is None else Path(vocab)
    if not vocab_file.is_file():
        raise FileNotFoundError(f"There is no vocabulary {vocab_file}.")
    if direction is None:
        says_backward = re.search("bwd|backward", f"{path.name} {weights_file.name}".lower())
        direction = "backward" if says_backward else "forward"
    weights = _our_names(_read_state(weights_file), weights_file)
    sizes = _sizes(weights, weights_file)
    tokens = _read_tokens(vocab_file)
    tokenizer, weights = _with_our_vocab(tokens, weights, weights_file, vocab_file)
    return TrainedLanguageModel(
        tokenizer,
        emb_size=sizes.emb_size,
        hidden_size=sizes.hidden_size,
        n_layers=sizes.n_layers,
        weights={direction: weights},
    )


def holds_fastai(directory: Path) -> bool:
    """Tell whether a directory looks like one that `read_fastai` reads."""
    return all(_visible(directory, suffixes) for suffixes in (WEIGHTS_SUFFIXES, (VOCAB_SUFFIX,)))


def _visible(directory: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files of a directory but for hidden ones, which macOS packs beside those it copies."""
    return sorted(
        file
        for file in directory.iterdir()
        if file.suffix in suffixes and not file.name.startswith(".") and file.is_file()
    )


def _only_weights(directory: Path) -> Path:
    files = _visible(directory, WEIGHTS_SUFFIXES)
    if not files:
        raise FileNotFoundError(
            f"There is no file of weights ({' or '.join(WEIGHTS_SUFFIXES)}) in {directory}."
        )
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ValueError(f"Which of {names} in {directory}? Give the path of the file itself.")
    return files[0]


def _vocab_beside(weights: Path) -> Path:
    """Find the one vocabulary in the directory, or the one that is named like the weights."""
    beside = _visible(weights.parent, (VOCAB_SUFFIX,))
    stem = weights.stem
    namesakes = {stem, f"itos_{stem}", f"{stem}_itos", f"{stem}_vocab"}
    found = beside if len(beside) == 1 else [file for file in beside if file.stem in namesakes]
    if len(found) != 1:
        raise FileNotFoundError(
            f"{weights} needs the vocabulary that it was trained with, and it is not clear which "
            f"file that is. Put it beside the weights as {stem}{VOCAB_SUFFIX}, or give its path "
            "as vocab to sk_ulmfit.models.fastai.read_fastai."
        )
    return found[0]


def _read_tokens(file: Path) -> list[str]:
    pickled = file.read_bytes()
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if not _OF_STRINGS.fullmatch(opcode.name):
                raise ValueError(f"it holds {opcode.name} {argument or ''}".rstrip())
            if opcode.name.endswith("PUT") and int(argument or 0) > len(pickled):
                raise ValueError("it has more entries than bytes")
        tokens = pickle.loads(pickled)
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(
            f"{file} is not a vocabulary, which is a pickled list of str: {error}. If you made it "
            "yourself, pickle list(vocab) and nothing else."
        ) from error
    if not (tokens and isinstance(tokens, list) and all(isinstance(t, str) for t in tokens)):
        raise ValueError(f"{file} is not a vocabulary: expected a list of str, got {tokens!r:.80}.")
    try:
        "".join(tokens).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{file} holds a token that is not valid Unicode: {error}.") from error
    return tokens


def _read_state(file: Path) -> dict[str, Tensor]:
    content = file.read_bytes()
    try:
        _check_pickles(content)
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(
            f"{file} cannot be read as weights that torch saved: {error}. It may be damaged or "
            "incomplete; if it holds more than weights, save it with fastai again, by "
            "learn.save(..., with_opt=False)."
        ) from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]  # the other entry is the optimizer's state
    if not isinstance(state, dict) or not state:
        raise ValueError(f"{file} is not the state dict of a language model.")
    room = 4 * len(content)  # the embedding is there three times, recurrent weights twice
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ValueError(
                f"{file} is not the state dict of a language model: {name!r} in it is a "
                f"{type(tensor).__name__}."
            )
        if not tensor.is_floating_point():
            raise ValueError(f"{file}: {name} has the type {tensor.dtype}, expected float.")
        n_bytes = tensor.numel() * tensor.element_size()
        room -= n_bytes
        if room < 0 or not n_bytes <= tensor.untyped_storage().nbytes() <= len(content):
            raise ValueError(f"{file}: {name} claims more values than there are.")
    return state


def _check_pickles(content: bytes) -> None:
    """Refuse what is no plain weights, or would take more memory than the file is long."""
    stream = io.BytesIO(content)
    pickles = [stream] * 5  # one behind the other, before torch 1.6
    if content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(stream) as archive:
            if any(entry.file_size != entry.compress_size for entry in archive.infolist()):
                raise ValueError("it is compressed, which torch never does")
            root = archive.namelist()[0].partition("/")[0]
            pickles = [io.BytesIO(archive.read(f"{root}/data.pkl"))]
    for pickled in pickles:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "GLOBAL" and not _OF_WEIGHTS.fullmatch(str(argument)):
                name = str(argument).replace(" ", ".")
                raise ValueError(f"it refers to {name}, which is no part of plain weights")
            if isinstance(argument, int) and len(content) + (1 << 20) < argument != MAGIC_NUMBER:
                raise ValueError("it claims more values than there are")


def _our_names(state: dict[str, Tensor], file: Path) -> Weights:
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
                f"{file}: {place[ours][0]} and {theirs} differ. Only a language model whose "
                "softmax shares the weights of the embedding (tie_weights=True) can be read."
            )
        place[ours] = theirs, tensor
    if unknown:
        some = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        raise ValueError(
            f"{file} holds weights that an AWD-LSTM language model does not have: {some}. Other "
            "networks (QRNN, Transformer, a classifier) cannot be read."
        )
    # Beside a raw weight lies what DropConnect left of it in the last training step.
    weights: Weights = {}
    for ours, (theirs, tensor) in {**not_raw, **found}.items():
        weights[ours] = tensor.detach().float().contiguous().numpy().copy()
        if not np.isfinite(weights[ours]).all():
            raise ValueError(f"{file}: {theirs} holds values that are not finite (NaN, infinite).")
    return weights


def _sizes(weights: Weights, file: Path) -> EncoderSizes:
    """Read the sizes off the shapes, and check all shapes against them."""
    n_layers = len({key.split(".")[2] for key in weights if key.startswith("encoder.layers.")})
    # What a missing weight is taken for does not matter: that it is missing is found below.
    embedding = weights.get("encoder.embedding", np.empty((0, 0)))
    first = weights.get("encoder.layers.0.weight_hh", np.empty((0, 0)))
    if embedding.ndim != 2 or first.ndim != 2:
        raise ValueError(f"{file}: the embedding and weight_hh_l0 have to be matrices.")
    emb_size = embedding.shape[1]
    hidden_size = first.shape[1] if n_layers > 1 else emb_size
    sizes = EncoderSizes(len(embedding), emb_size, hidden_size, max(n_layers, 1))
    with torch.device("meta"):
        network = LanguageModel(sizes)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    # (a softmax that has no bias gets one of zeros)
    if missing := [key for key in shapes if key not in weights and key != "bias"]:
        raise ValueError(
            f"{file} is not a whole AWD-LSTM: it lacks the weights of "
            f"{', '.join(key.removeprefix('encoder.') for key in missing)}."
        )
    for key, array in weights.items():
        if array.shape != shapes[key] or array.size == 0:
            raise ValueError(
                f"{file}: the shapes do not make an AWD-LSTM whose last layer is as wide as its "
                f"embedding: {key.removeprefix('encoder.')} is {array.shape}, expected "
                f"{shapes[key]}."
            )
    return sizes


def _with_our_vocab(
    tokens: list[str], weights: Weights, weights_file: Path, vocab_file: Path
) -> tuple[WordTokenizer, Weights]:
    """Add the special tokens that are lacking, leave out the rows that belong to no word."""
    rows_of = _rows_of_tokens(tokens)
    rows = np.fromiter(rows_of.values(), dtype=np.int64)
    n_rows = len(weights["encoder.embedding"])
    if not 0 <= n_rows - len(tokens) <= MAX_FILLER or rows.max() < 0:
        raise ValueError(
            f"{vocab_file} has {len(tokens):,} tokens, but the embedding in {weights_file} has "
            f"{n_rows:,} rows: they do not belong together."
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
