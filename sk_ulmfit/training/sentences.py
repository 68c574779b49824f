"""Stage 1, second part: learning what texts mean from a teacher's vectors, top to bottom.

The language model stays as it is. Beside it, vectors of words and a linear map of the encoder's
pools learn to give vectors that agree with the teacher's (Reimers & Gurevych 2020 let a whole
network do so). So its perplexity stays, and a text has to be read only once, however often it is
trained on: the pools are kept in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..models import TrainedLanguageModel
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
from .resumable import ResumableNet

# Texts computed between two writes to a file.
_BLOCK = 4096

# Texts that scales, and the directions of the teacher's vectors that matter, are taken from.
_SAMPLE = 20_000

# A word that is as frequent as this counts half of a rare one, to begin with.
_HALF_WEIGHT_FREQUENCY = 1e-3

# Only the direction of a vector counts: longer ones are turned more slowly by the same steps.
_GAIN = 3.0


def learn_sentences(
    start: TrainedLanguageModel,
    tokens: TokenLists,
    targets: np.ndarray,
    options: LanguageModelOptions,
    *,
    size: int,
    n_valid: int,
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
        Of the vectors. Of longer targets the directions that say most are kept.
    n_valid : int
        Texts that are held out.
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
    sample = np.sort(order[n_valid : n_valid + _SAMPLE])
    basis = principal_directions(targets[sample], size)
    arrays: dict[str, np.ndarray] = {}
    history: list[dict[str, Any]] = []
    for direction in start.directions:
        pools = _pools_on_disk(start, direction, tokens, directory, options)
        arrays.update(scales(direction, np.asarray(pools[sample], dtype=np.float32)))
        texts = TaughtTexts(tokens, pools, targets, SentenceVectors(arrays), direction, basis)
        module = SentenceModule(len(start.tokenizer.vocab), pools.shape[1], basis.shape[1])
        if direction == start.directions[0]:
            module.begin(*first_words(texts, train, module.n_words))
        else:
            module.keep_words(arrays)
        epochs = _train(module, texts, train, valid, options, direction)
        history += [{"direction": direction, **epoch} for epoch in epochs]
        arrays.update(module.to_arrays(direction))
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
    if len(targets) < 2:
        raise ValueError("At least two texts are needed to learn what texts mean.")
    for first in range(0, len(targets), _BLOCK):
        if not np.isfinite(targets[first : first + _BLOCK]).all():
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
            for first in range(done, n_rows, _BLOCK):
                last = min(first + _BLOCK, n_rows)
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
    for first in range(0, len(rows), _BLOCK):
        offset += texts.targets_of(rows[first : first + _BLOCK]).sum(axis=0) / len(rows)
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        tokens = texts.tokens.take(block)
        shares = np.repeat(1 / tokens.lengths, tokens.lengths).astype(np.float32)
        held = sparse.csr_matrix((shares, tokens.ids, tokens.offsets), (len(block), n_words))
        sums += held.T @ (texts.targets_of(block) - offset)
        totals += np.asarray(held.sum(axis=0)).ravel()
        counts += np.bincount(tokens.ids, minlength=n_words)
    frequency = counts / counts.sum()
    weights = _HALF_WEIGHT_FREQUENCY / (_HALF_WEIGHT_FREQUENCY + frequency)
    return _GAIN * sums / totals[:, None], weights, _GAIN * offset


def _pools_on_disk(
    start: TrainedLanguageModel,
    direction: str,
    tokens: TokenLists,
    directory: Path,
    options: LanguageModelOptions,
) -> np.ndarray:
    """What the encoder of one direction makes of every text, read once."""
    start = start.with_directions((direction,))

    def compute(first: int, last: int) -> np.ndarray:
        with mixed_precision(options.device, options.amp is True):
            return start.pooled(tokens.take(range(first, last)), POOLING, options.device)

    width = pooled_size(POOLING, start.sizes)
    label = f"{direction} pools" if options.verbose else None
    return rows_on_disk(directory / f"{direction}.pools", len(tokens), width, compute, label=label)


def _train(
    module: SentenceModule,
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
    own = replace(options, label=f"{direction} sentences", early_stopping=False, lr_decay=1.0)
    masks = MaskSource(torch.Generator())  # of which none is drawn
    net = SentenceNet(
        **common_arguments(module, masks, Rows(texts, valid), own, *callbacks),
        texts=texts,
        criterion=AgreementLoss,
        iterator_train=TextBatches,
        iterator_valid=TextBatches,
    )
    with torch.inference_mode(False):  # whatever the caller is in
        net.fit(Rows(texts, train, np.random.default_rng(options.seed)), y=None)
    history = _with_agreement(history_of(net.history))
    if net.interrupt_ is not None:
        raise TrainingInterrupted(history, "Interrupted: nothing of it is kept, but checkpoints.")
    return history


def _with_agreement(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**epoch, "agreement": 1 - epoch["valid_loss"]} for epoch in epochs]


class SentenceModule(nn.Module):
    """Vectors of words and a map of scaled pools, which add up to vectors of texts.

    Parameters
    ----------
    n_words, pooled, size : int
        Numbers of words, of pools, and of a vector's entries.
    """

    def __init__(self, n_words: int, pooled: int, size: int):
        super().__init__()
        self.n_words = n_words
        self.words = nn.Parameter(torch.zeros(n_words, size))
        self.log_weights = nn.Parameter(torch.zeros(n_words))
        self.offset = nn.Parameter(torch.zeros(size))
        self.map = nn.Parameter(torch.zeros(pooled, size))

    @torch.no_grad()
    def begin(self, words: np.ndarray, weights: np.ndarray, offset: np.ndarray) -> None:
        """Take vectors of words to begin with."""
        self.words.copy_(torch.from_numpy(words))
        self.log_weights.copy_(torch.from_numpy(np.log(weights)))
        self.offset.copy_(torch.from_numpy(offset))

    def keep_words(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the words of another direction's training, and leave them as they are."""
        self.begin(*(arrays[name] for name in ("words", "weights", "offset")))
        for parameter in (self.words, self.log_weights, self.offset):
            parameter.requires_grad_(False)

    def forward(self, ids: Tensor, starts: Tensor, pools: Tensor) -> Tensor:
        """Vectors of texts, shape (batch, size), of no certain length.

        Parameters
        ----------
        ids : Tensor of shape (n_tokens,)
            Of all texts, one after another.
        starts : Tensor of shape (batch,)
            Where every text begins.
        pools : Tensor of shape (batch, pooled)
            Scaled.
        """
        weights = self.log_weights.exp()
        total = F.embedding_bag(ids, weights.unsqueeze(1), starts, mode="sum")
        words = F.embedding_bag(
            ids, self.words, starts, mode="sum", per_sample_weights=weights[ids]
        )
        return words / total + self.offset + pools @ self.map

    def to_arrays(self, direction: str) -> dict[str, np.ndarray]:
        """What was learned, named as in `SentenceVectors`."""
        arrays = {
            "words": self.words,
            "weights": self.log_weights.exp(),
            "offset": self.offset,
            f"{direction}.map": self.map,
        }
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in arrays.items()}


class AgreementLoss(nn.Module):
    """One minus the mean cosine, and in training how far cosines within the batch are off.

    Parameters
    ----------
    similarities : float, default=10.0
        Weight of the mean squared difference of the cosines of all pairs.
    """

    def __init__(self, similarities: float = 10.0):
        super().__init__()
        self.similarities = similarities

    def forward(self, vectors: Tensor, targets: Tensor) -> Tensor:
        """Loss of `vectors`, both of shape (batch, size)."""
        vectors, targets = F.normalize(vectors), F.normalize(targets)
        loss = 1 - (vectors * targets).sum(dim=1).mean()
        if self.training:
            differences = vectors @ vectors.T - targets @ targets.T
            loss = loss + self.similarities * differences.square().mean()
        return loss


class SentenceNet(ResumableNet):
    """Trains a `SentenceModule` on batches of the rows of texts.

    Parameters
    ----------
    texts : TaughtTexts
    **kwargs
        Of `ResumableNet`.
    """

    def __init__(self, *args: Any, texts: TaughtTexts, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.texts = texts

    def infer(self, x: Tensor, **fit_params: Any) -> Tensor:
        vectors: Tensor = super().infer(self.texts.inputs(x.numpy()))
        return vectors

    def _loss_of_constant_answer(self, train: Dataset) -> float:
        return 1.0 + self.criterion_.similarities

    def _describe(self, batch: Any) -> str:
        return f"{len(batch[0])} texts. Lower batch_size (now {self.batch_size})"


class TaughtTexts:
    """Texts as a network reads them, each with the teacher's vector.

    Parameters
    ----------
    tokens : TokenLists
    pools : ndarray of shape (n_texts, pooled)
    targets : ndarray of shape (n_texts, n_dims)
        All three may be memory maps.
    scales : SentenceVectors
        Of the pools.
    direction : str
    basis : ndarray of shape (n_dims, size)
        What the targets are mapped by.
    """

    def __init__(
        self,
        tokens: TokenLists,
        pools: np.ndarray,
        targets: np.ndarray,
        scales: SentenceVectors,
        direction: str,
        basis: np.ndarray,
    ):
        self.tokens = tokens
        self.pools = pools
        self.targets = targets
        self.scales = scales
        self.direction = direction
        self.basis = basis

    @property
    def size(self) -> int:
        """Length of the mapped targets."""
        return self.basis.shape[1]

    def inputs(self, rows: np.ndarray) -> dict[str, Tensor]:
        """What `SentenceModule` takes for some of the texts."""
        tokens = self.tokens.take(rows)
        pools = self.scales.scaled(self.direction, self.pools[rows].astype(np.float32))
        return {
            "ids": torch.from_numpy(tokens.ids.astype(np.int64)),
            "starts": torch.from_numpy(tokens.starts),
            "pools": torch.from_numpy(pools),
        }

    def targets_of(self, rows: np.ndarray) -> np.ndarray:
        """The teacher's vectors of some of the texts, shape (n, size)."""
        return np.asarray(self.targets[rows], dtype=np.float32) @ self.basis


class Rows(Dataset):
    """Some of the texts, by their rows.

    Parameters
    ----------
    texts : TaughtTexts
    rows : ndarray of int
    rng : numpy.random.Generator or None, default=None
        Shuffles them anew for every epoch; None keeps their order.
    """

    def __init__(
        self, texts: TaughtTexts, rows: np.ndarray, rng: np.random.Generator | None = None
    ):
        self.texts = texts
        self.rows = rows
        self.rng = rng

    def __len__(self) -> int:
        return len(self.rows)


class TextBatches:
    """Batches of rows and of their targets.

    Parameters
    ----------
    dataset : Rows
    batch_size : int

    Attributes
    ----------
    first_batch : int, default=0
        Where the next pass begins.
    """

    first_batch = 0

    def __init__(self, dataset: Rows, batch_size: int):
        self.dataset = dataset
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        data = self.dataset
        order = data.rows if data.rng is None else data.rng.permutation(data.rows)
        for batch in range(self.first_batch, len(self)):
            # In rising order: a memory map is read from front to back.
            rows = np.sort(order[batch * self.batch_size : (batch + 1) * self.batch_size])
            yield torch.from_numpy(rows), torch.from_numpy(data.texts.targets_of(rows))
