"""Stage 1, second part: learning what texts mean from a teacher's vectors, top to bottom.

Vectors of words and a linear map of the encoder's pools learn to give vectors that agree with the
teacher's. The language model stays as it is: its pools are kept in a file, so that a text has to be
read only once, however often it is trained on. Or the pools are those of other LSTM layers above
the same embedding, which learn along (Reimers & Gurevych 2020 let a whole network do so): that
takes as long as the training of a language model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from ..models import TrainedLanguageModel
from ..models.networks import empty_module
from ..models.sentences import POOLING, SentenceVectors, scales
from ..modules import pooled_size
from ..modules.dropout import MaskSource
from ..progress_bar import Bar
from ..text.token_lists import TokenLists
from .checkpoints import Checkpoints
from .devices import mixed_precision
from .distributed import Share
from .language_model import LanguageModelOptions
from .net import TrainingInterrupted, common_arguments, history_of
from .sentence_encoder import SentenceEncoder
from .sentence_net import (
    BLOCK,
    SAMPLE,
    AgreementLoss,
    PooledTexts,
    Rows,
    SentenceModule,
    SentenceNet,
    TaughtTexts,
    TextBatches,
    UnreadTexts,
)

# How many times slower LSTM layers learn than what is read off them.
_OF_ENCODER = 5.0

# A word that is as frequent as this counts half of a rare one, to begin with.
_HALF_WEIGHT_FREQUENCY = 1e-3

# Only the direction of a vector counts: longer ones are turned more slowly by the same steps.
_GAIN = 3.0


@torch.inference_mode(False)  # whatever the caller is in
def learn_sentences(
    start: TrainedLanguageModel,
    tokens: TokenLists,
    targets: np.ndarray,
    options: LanguageModelOptions,
    *,
    size: int,
    n_valid: int,
    train_encoder: bool,
    goes_on: bool,
    directory: Path,
) -> tuple[SentenceVectors, list[dict[str, Any]]]:
    """Learn from one target vector a text.

    The first direction's map is trained together with the words, a second one's beside them.

    Parameters
    ----------
    start : TrainedLanguageModel
    tokens : TokenLists
    targets : ndarray of shape (n_texts, n_dims)
        Both may be memory maps.
    options : LanguageModelOptions
    size : int
        Of the vectors. Of longer targets the directions that say most are kept. Vectors that have
        been learned already are widened to it, or stay if they are longer.
    n_valid : int
        Texts that are held out.
    train_encoder : bool
        Whether LSTM layers learn along, which begin as copies of the language model's.
    goes_on : bool
        Whether from what `start` has learned of texts: the targets are turned to its vectors then.
    directory : Path
        For the pools and, if the options say so, checkpoints.

    Returns
    -------
    SentenceVectors, list of dict
        And the history: losses, and the held-out agreement (cosine), an entry an epoch.

    Raises
    ------
    TrainingInterrupted
        On Ctrl-C: half of it is of no use.
    """
    order = np.random.default_rng(options.seed).permutation(len(tokens))
    valid, train = np.sort(order[:n_valid]), np.sort(order[n_valid:])
    sample = np.sort(order[n_valid : n_valid + SAMPLE])
    some, of_sample = tokens.take(sample), np.asarray(targets[sample], dtype=np.float32)
    arrays: dict[str, np.ndarray] = {}
    n_words = len(start.tokenizer.words)
    if goes_on:
        assert start.sentences is not None
        arrays, start = dict(start.sentences.arrays), start.reader
        pools = start.pools(some, POOLING, options.device)
        learned = SentenceVectors(arrays)
        basis = turned_to(learned.vectors(some, pools), of_sample)
        if (wider := min(size, targets.shape[1])) > learned.size:
            basis = with_more_directions(basis, of_sample, wider)
            texts = TaughtTexts(tokens, targets, basis, start.directions[0])
            words, _, offset = first_words(texts, train, n_words)
            arrays = learned.widened(words, offset).arrays
    else:
        basis = principal_directions(of_sample, size)
    given = (tokens, targets, basis)
    history: list[dict[str, Any]] = []
    for direction in start.directions:
        alone, is_first = start.with_directions((direction,)), direction == start.directions[0]
        every = None if train_encoder else _pools_on_disk(alone, tokens, directory, options)
        if f"{direction}.mean" not in arrays:
            pooled = (
                alone.pooled(some, POOLING, options.device)
                if every is None
                else np.asarray(every[sample], dtype=np.float32)
            )
            arrays.update(scales(direction, pooled))
        texts = (
            UnreadTexts(*given, direction)
            if every is None
            else PooledTexts(*given, direction, every, SentenceVectors(arrays))
        )
        n_pooled = pooled_size(POOLING, start.sizes)
        module: SentenceModule = empty_module(SentenceModule, n_words, n_pooled, texts.size)
        begin = (
            (arrays["words"], arrays["weights"], arrays["offset"])
            if "words" in arrays
            else first_words(texts, train, n_words)
        )
        module.begin(*begin, arrays.get(f"{direction}.map"))
        if not is_first:
            module.keep_words()
        learner: SentenceModule | SentenceEncoder = module
        if train_encoder:
            learner = SentenceEncoder.of(start, direction, module, SentenceVectors(arrays))
        epochs = _train(learner, texts, train, valid, options, direction)
        history += [{"direction": direction, **epoch} for epoch in epochs]
        arrays.update(learner.to_arrays(direction))
    return SentenceVectors(arrays), history


def check_targets(targets: Any) -> np.ndarray:
    """Refuse what cannot be a teacher's vectors of texts.

    Raises
    ------
    ValueError
    """
    targets = targets if isinstance(targets, np.ndarray) else np.asarray(targets, dtype=np.float32)
    if targets.ndim != 2 or not targets.shape[1] or targets.dtype.kind != "f":
        raise ValueError(
            "targets must be a matrix of floats with a row for every text, got one of shape "
            f"{targets.shape} and type {targets.dtype}."
        )
    for first in range(0, len(targets), BLOCK):
        if not np.isfinite(targets[first : first + BLOCK]).all():
            raise ValueError(f"targets hold values that are not finite, from row {first} on.")
    return targets


def rows_on_disk(
    file: Path,
    n_rows: int,
    width: int,
    compute: Callable[[int, int], np.ndarray],
    *,
    label: str | None = None,
) -> np.ndarray:
    """Compute a matrix of half precision into a file, and go on with it if it is there already.

    Parameters
    ----------
    file : Path
    n_rows, width : int
    compute : callable
        Gives the rows from a first to before a last one.
    label : str or None, default=None
        Of a progress bar.

    Returns
    -------
    ndarray of shape (n_rows, width), float16
        A memory map.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    row_bytes = 2 * width
    done = min(n_rows, file.stat().st_size // row_bytes) if file.is_file() else 0
    with file.open("ab") as opened:
        opened.truncate(done * row_bytes)  # a row that was cut short
        with Bar(total=n_rows, initial=done, desc=label, unit="text", disable=not label) as bar:
            for first in range(done, n_rows, BLOCK):
                last = min(first + BLOCK, n_rows)
                opened.write(compute(first, last).astype(np.float16).tobytes())
                opened.flush()
                bar.update(last - first)
    return np.memmap(file, np.float16, "r", shape=(n_rows, width))


def principal_directions(vectors: np.ndarray, size: int) -> np.ndarray:
    """Find the directions that keep most of vectors' lengths, shape (n_dims, size)."""
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.shape[1] <= size:
        return np.eye(vectors.shape[1], dtype=np.float32)
    _, directions = np.linalg.eigh(vectors.T @ vectors)  # by rising eigenvalue
    return np.ascontiguousarray(directions[:, : -size - 1 : -1])


def with_more_directions(basis: np.ndarray, vectors: np.ndarray, size: int) -> np.ndarray:
    """Add to orthonormal directions those that keep most of what they leave of vectors.

    Parameters
    ----------
    basis : ndarray of shape (n_dims, fewer)
    vectors : ndarray of shape (n, n_dims)
    size : int
        At most `n_dims`.

    Returns
    -------
    ndarray of shape (n_dims, size)
    """
    left = np.linalg.qr(basis, mode="complete")[0][:, basis.shape[1] :]
    more = left @ principal_directions(vectors @ left, size - basis.shape[1])
    return np.hstack([basis, more])


def turned_to(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Find how targets have to be turned to agree with vectors (orthogonal Procrustes problem).

    Parameters
    ----------
    vectors : ndarray of shape (n, size)
    targets : ndarray of shape (n, n_dims)

    Returns
    -------
    ndarray of shape (n_dims, size)
    """
    both = np.asarray(targets, dtype=np.float32).T @ vectors
    left, _, right = np.linalg.svd(both, full_matrices=False)
    return np.ascontiguousarray(left @ right)


def first_words(
    texts: TaughtTexts, rows: np.ndarray, n_words: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words to begin with: the mean of the vectors of the texts that hold them.

    A text counts by one over its length: one of a single word says what that word means.

    Returns
    -------
    words : ndarray of shape (n_words, size)
    weights : ndarray of shape (n_words,)
        By rarity (Arora et al. 2017).
    offset : ndarray of shape (size,)
    """
    sums = np.zeros((n_words, texts.size), dtype=np.float32)
    totals, counts = np.full(n_words, 0.1), np.ones(n_words)
    offset = np.zeros(texts.size)
    for first in range(0, len(rows), BLOCK):
        offset += texts.targets_of(rows[first : first + BLOCK]).sum(axis=0) / len(rows)
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        tokens = texts.tokens.take(block)
        shares = np.repeat(1 / tokens.lengths, tokens.lengths).astype(np.float32)
        held = sparse.csr_matrix((shares, tokens.words, tokens.offsets), (len(block), n_words))
        sums += held.T @ (texts.targets_of(block) - offset)
        totals += np.asarray(held.sum(axis=0)).ravel()
        counts += np.bincount(tokens.words, minlength=n_words)
    frequency = counts / counts.sum()
    weights = _HALF_WEIGHT_FREQUENCY / (_HALF_WEIGHT_FREQUENCY + frequency)
    return _GAIN * sums / totals[:, None], weights, _GAIN * offset


def _pools_on_disk(
    start: TrainedLanguageModel,
    tokens: TokenLists,
    directory: Path,
    options: LanguageModelOptions,
) -> np.ndarray:
    """What the encoder of one direction makes of every text, read once."""
    (direction,) = start.directions

    def compute(first: int, last: int) -> np.ndarray:
        with mixed_precision(options.device, options.amp is True):
            return start.pooled(tokens.take(range(first, last)), POOLING, options.device)

    width = pooled_size(POOLING, start.sizes)
    label = f"{direction} pools" if options.verbose else None
    return rows_on_disk(directory / f"{direction}.pools", len(tokens), width, compute, label=label)


def _train(
    module: SentenceModule | SentenceEncoder,
    texts: TaughtTexts,
    train: np.ndarray,
    valid: np.ndarray,
    options: LanguageModelOptions,
    direction: str,
) -> list[dict[str, Any]]:
    """Train `module` in place, or take its weights from a training that was completed before."""
    callbacks = []
    if options.checkpoint_dir is not None:
        file = Path(options.checkpoint_dir, f"{direction}.sentences.pt")
        checkpoints = Checkpoints(file, options.checkpoint_minutes, Share())
        if (finished := checkpoints.finished()) is not None:
            module.load_state_dict(finished["module"])
            return _with_agreement(history_of(finished["history"]))
        callbacks.append(checkpoints)
    reads = isinstance(module, SentenceEncoder)
    label, decay = f"{direction} sentences", _OF_ENCODER if reads else 1.0
    own = replace(options, label=label, early_stopping=False, lr_decay=decay)
    masks = MaskSource(torch.Generator())  # of which none is drawn
    net = SentenceNet(
        **common_arguments(module, masks, Rows(texts, valid), own, *callbacks),
        texts=texts,
        criterion=AgreementLoss,
        optimizer__param_groups=[("encoder.*", {})] if reads else [],
        iterator_train=TextBatches,
        iterator_valid=TextBatches,
    )
    net.fit(Rows(texts, train, np.random.default_rng(options.seed)), y=None)
    history = _with_agreement(history_of(net.history))
    if net.interrupt_ is not None:
        raise TrainingInterrupted(history, "Interrupted: nothing of it is kept, but checkpoints.")
    return history


def _with_agreement(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**epoch, "agreement": 1 - epoch["valid_loss"]} for epoch in epochs]
