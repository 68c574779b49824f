"""Stage 3, top to bottom: training, the network's start, the net, its loss, batches by length."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from skorch.callbacks import EpochScoring, GradientNormClipping
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..callbacks import GradualUnfreezing
from ..models import TrainedClassifier
from ..models.inference import length_batches, pooled_vectors
from ..models.networks import Weights, load_arrays, to_arrays
from ..modules import AWD_CLASSIFIER_DROPOUTS, TextClassifier
from ..modules.awd_lstm import WIDEST, full_precision
from ..modules.dropout import MaskSource
from ..schedules import layer_groups, trained_groups
from ..text.token_lists import TokenLists
from .devices import seeded_generator
from .embeddings import renumbering, used_tokens, with_rows
from .net import (
    Outcome,
    TrainingOptions,
    ULMFiTNet,
    common_arguments,
    each_direction,
    history_of,
)

# Documents, targets and weights in the loss.
Labelled = tuple[TokenLists, np.ndarray, np.ndarray]

# Dropout before the last layer of the head, in the authors' scripts.
HEAD_DROPOUT = 0.1

# Hidden layers that are as wide as there are classes have weights by their square: of thousands of
# classes the head would be larger than all else.
_WIDEST_HEAD = 500


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions(TrainingOptions):
    """How to train a classifier, by the names of the estimator's parameters, none "auto"."""

    # (of `linear_share` "auto" remains: what is held out will say)
    encoder_start: str
    head_start: str
    linear_share: float | str
    unfreeze_schedule: str | Sequence[int]
    label_smoothing: float
    r_drop: float
    frozen_dropout: bool
    word_features: bool

    @property
    def solves(self) -> bool:
        """Whether a linear model is solved for."""
        return self.head_start == "solved" or self.linear_share != 0

    @property
    def trains(self) -> bool:
        """Whether a network is trained."""
        by_steps = not isinstance(self.unfreeze_schedule, str)
        return self.linear_share != 1 and (by_steps or self.max_epochs > 0)


def hidden_sizes(head_sizes: Sequence[int] | str, n_classes: int, solved: bool) -> tuple[int, ...]:
    """Widths of a head's hidden layers.

    Parameters
    ----------
    head_sizes : sequence of int or "auto"
    n_classes : int
    solved : bool
        Whether it begins at the solution of a regression.

    Raises
    ------
    ValueError
    """
    if isinstance(head_sizes, str):
        return () if solved else (min(max(50, 2 * n_classes), _WIDEST_HEAD),)
    if not all(isinstance(size, Integral) and 1 <= size <= WIDEST for size in head_sizes):
        raise ValueError(
            "head_sizes must hold the widths of the head's hidden layers, whole numbers from 1 to "
            f"{WIDEST}, got {head_sizes!r}."
        )
    if solved and len(head_sizes):
        raise ValueError(
            "A head that begins solved is linear: leave head_sizes at 'auto', or begin with "
            "head_start='random'."
        )
    return tuple(int(size) for size in head_sizes)


def classifier_stage(
    start: TrainedClassifier,
    train: Labelled,
    valid: Labelled | None,
    options: ClassifierOptions,
    head_seed: int,
) -> Outcome:
    """Train a classifier in each direction of its language model (stage 3).

    Parameters
    ----------
    start : TrainedClassifier
        What to begin with; without weights it is the language model's encoder under a head of
        random weights.
    train, valid : tuple of (documents, targets, weights)
    options : ClassifierOptions
    head_seed : int
        Seed of the head's random weights.
    """
    vocab_size = start.language_model.sizes.vocab_size
    used = used_tokens(vocab_size, train[0], *([] if valid is None else [valid[0]]))
    # Steps of unfreezing that are given by their epochs say how many there are.
    groups = layer_groups("classifier", start.language_model.n_layers)
    plan = trained_groups(options.unfreeze_schedule, len(groups), options.max_epochs)
    options = replace(options, max_epochs=len(plan))

    def read(data: Labelled, direction: str, rng: np.random.Generator | None) -> LabelledDocuments:
        documents, targets, weights = data
        beside = {}
        if direction in start.words:
            beside["word_logits"] = start.words[direction].logits(documents)
        if (meanings := start.meanings(documents, options.device)) is not None:
            beside["meaning"] = meanings
        if used is not None:
            documents = documents.renumbered(renumbering(vocab_size, used))
        documents = documents.reversed() if direction == "backward" else documents
        return LabelledDocuments(documents, targets, weights, rng, beside)

    def train_one(
        direction: str, own: ClassifierOptions
    ) -> tuple[Weights, list[dict[str, Any]], KeyboardInterrupt | None]:
        before = start_weights(start, direction, options.encoder_start, head_seed)
        embedding = before["encoder.embedding"]
        if used is not None:
            before["encoder.embedding"] = embedding[used]
        module = training_network(start, direction, before, own, used)
        history, interrupt = train_classifier(
            module,
            read(train, direction, np.random.default_rng(own.seed)),
            None if valid is None else read(valid, direction, None),
            own,
            start.multilabel,
        )
        weights = to_arrays(module)
        if used is not None:
            weights["encoder.embedding"] = with_rows(embedding, used, weights["encoder.embedding"])
        return weights, history, interrupt

    return each_direction(start.language_model.directions, train_one, options, "classifier")


def start_weights(
    start: TrainedClassifier, direction: str, encoder_start: str, head_seed: int
) -> Weights:
    """Weights that the training of a direction begins with."""
    if direction in start.weights:
        return dict(start.weights[direction])
    module = start.empty_module(direction, bptt=1)
    module.head.reset_parameters(torch.Generator().manual_seed(head_seed))
    head = {name: array for name, array in to_arrays(module).items() if name.startswith("head.")}
    language_model = start.language_model
    begin = language_model.reader if encoder_start == "sentences" else language_model
    return {**head, **begin.encoder_weights(direction)}


def training_network(
    start: TrainedClassifier,
    direction: str,
    weights: Weights,
    options: ClassifierOptions,
    used: np.ndarray | None = None,
) -> TextClassifier:
    """Build the network of a direction with the dropouts of a training.

    Parameters
    ----------
    start : TrainedClassifier
    direction : {"forward", "backward"}
    weights : dict of str to ndarray
    options : ClassifierOptions
    used : ndarray of int64, default=None
        The tokens that it has embeddings of; None: all.
    """
    module = start.empty_module(
        direction,
        options.bptt,
        used,
        dropouts=AWD_CLASSIFIER_DROPOUTS.scaled(options.dropout_mult),
        head_dropout=min(HEAD_DROPOUT * options.dropout_mult, 0.95),
    )
    load_arrays(module, weights)
    return module


def train_classifier(
    module: TextClassifier,
    train: LabelledDocuments,
    valid: LabelledDocuments | None,
    options: ClassifierOptions,
    multilabel: bool,
) -> tuple[list[dict[str, Any]], KeyboardInterrupt | None]:
    """Train a network in place.

    Returns
    -------
    history : list of dict
        One an epoch: losses, learning rates, trained layer groups.
    interrupt : KeyboardInterrupt or None
    """
    if options.max_epochs == 0:
        return [], None
    callbacks = [GradientNormClipping(25.0), GradualUnfreezing(options.unfreeze_schedule)]
    if valid is not None:
        callbacks.append(EpochScoring("accuracy", lower_is_better=False, name="valid_acc"))
    masks = MaskSource(seeded_generator(options.seed, options.device))
    groups = layer_groups("classifier", len(module.encoder.layers))
    net = ClassifierNet(
        **common_arguments(
            module, masks, valid, options, *callbacks, costs=costs_of_epochs(options, len(groups))
        ),
        frozen_dropout=options.frozen_dropout,
        criterion=ClassificationLoss,
        criterion__multilabel=multilabel,
        criterion__label_smoothing=options.label_smoothing,
        # Without dropout both readings are the same.
        criterion__r_drop=options.r_drop if options.dropout_mult else 0.0,
        optimizer__param_groups=[(group.pattern, {}) for group in groups[:-1]],
        iterator_train=LengthBatches,
        iterator_valid=LengthBatches,
    )
    net.fit(train, y=None)
    return history_of(net.history), net.interrupt_


def costs_of_epochs(options: ClassifierOptions, n_groups: int) -> list[float]:
    """What the epochs cost: the way back through all layers twice as much as the way forward.

    Parameters
    ----------
    options : ClassifierOptions
    n_groups : int
        Number of layer groups.
    """
    plan = trained_groups(options.unfreeze_schedule, n_groups, options.max_epochs)
    depths = [n_groups - min(groups) for groups in plan]
    known = 1.0 if options.frozen_dropout else 0.01  # of vectors that are computed once
    return [known if depth == 1 else 1 + 2 * depth / n_groups for depth in depths]


class ClassifierNet(ClassifierMixin, ULMFiTNet):
    """Trains a `TextClassifier` on batches of documents.

    It is a classifier of class numbers, for the scoring callbacks of skorch.

    Parameters
    ----------
    frozen_dropout : bool, default=True
        Whether the encoder drops out while all of it is frozen. If not, documents are encoded
        once for all epochs in a row that train the head alone.
    **kwargs
        Of `ULMFiTNet`.
    """

    def __init__(self, *args: Any, frozen_dropout: bool = True, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.frozen_dropout = frozen_dropout

    def fit_loop(self, *args: Any, **kwargs: Any) -> ClassifierNet:
        self.vectors_: dict[int, Tensor] = {}  # by the id of the data set
        try:
            super().fit_loop(*args, **kwargs)
        finally:
            self.vectors_ = {}
        return self

    def run_single_epoch(self, iterator: Any, training: bool, *args: Any, **kwargs: Any) -> None:
        if iterator is not None:
            iterator = self._with_known_vectors(iterator)
        super().run_single_epoch(iterator, training, *args, **kwargs)

    def _with_known_vectors(self, batches: Any) -> Any:
        if self.frozen_dropout:
            return batches
        if any(parameter.requires_grad for parameter in self.module_.encoder.parameters()):
            self.vectors_ = {}  # the encoder is about to change
            return batches
        return VectorBatches(batches, self._vectors(batches.dataset))

    def _vectors(self, data: LabelledDocuments) -> Tensor:
        """What the frozen encoder makes of every document."""
        if id(data) not in self.vectors_:
            vectors = pooled_vectors(self.module_, data.documents, torch.device(self.device))
            self.vectors_[id(data)] = torch.from_numpy(vectors)
        return self.vectors_[id(data)]

    @property
    def _reads_twice(self) -> bool:
        return self.module_.training and self.criterion_.r_drop > 0

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        step: dict[str, Any] = super().train_step(batch, **fit_params)
        if self._reads_twice:
            step["y_pred"] = step["y_pred"][0]  # callbacks expect one row a document
        return step

    def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Tensor:
        return super().get_loss(y_pred, (y_true, X["weights"]), X, training)

    @property
    def classes_(self) -> np.ndarray:
        """Numbers of the outputs."""
        return np.arange(len(self.module.head.blocks[-1].bias))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities by this net alone, not of a direction that is trained beside it."""
        logits = self.forward(X).detach().float()
        p = logits.sigmoid() if self.criterion_.multilabel else logits.softmax(dim=1)
        probabilities: np.ndarray = p.numpy()
        return probabilities

    def predict(self, X: Any) -> np.ndarray:
        """Class numbers, or an indicator matrix."""
        p = self.predict_proba(X)
        return (p > 0.5).astype(np.int64) if self.criterion_.multilabel else p.argmax(axis=1)

    def infer(self, x: dict[str, Tensor], **fit_params: Any) -> Tensor:
        """Logits of shape (batch, outputs); of two readings (2, batch, outputs)."""
        x = {name: rows for name, rows in x.items() if name != "weights"}  # of the loss
        fit_params["source"] = self.masks
        if not self._reads_twice:
            return super().infer(x, **fit_params)
        if len(next(iter(x.values()))) == 1:
            # As two rows of one batch, a text alone would be normalised by its dropout.
            return torch.stack([super().infer(x, **fit_params), super().infer(x, **fit_params)])
        # Two rows in one batch cost less than two batches, and have masks of their own, but for
        # those of words and of recurrent weights, which all rows of a batch share.
        x = {name: rows.repeat_interleave(2, dim=0) for name, rows in x.items()}
        logits: Tensor = super().infer(x, **fit_params)
        return torch.stack([logits[::2], logits[1::2]])

    def _loss_of_constant_answer(self, train: Any) -> float:
        n_choices = 2 if self.criterion_.multilabel else len(self.classes_)
        return math.log(n_choices) * float(train.weights.mean())

    def _describe(self, batch: Any) -> str:
        if "vectors" in batch[0]:
            return f"{len(batch[0]['vectors'])} texts. Lower batch_size (now {self.batch_size})"
        n_texts, n_tokens = batch[0]["ids"].shape
        twice, once = (", each read twice", ", or set r_drop=0") if self._reads_twice else ("", "")
        return (
            f"{n_texts} texts of up to {n_tokens} tokens{twice}. Lower batch_size (now "
            f"{self.batch_size}), or cut long texts by max_length{once}"
        )


class ClassificationLoss(nn.Module):
    """Cross entropy, or binary cross entropy for multilabel targets, with document weights.

    Parameters
    ----------
    multilabel : bool
    label_smoothing : float, default=0.0
        Share of a training target that is spread evenly over all classes [1]_; none in multilabel
        problems, where most labels are rare.
    r_drop : float, default=0.0
        Above 0, training logits are those of two readings of every document, with different
        dropout, and this is the weight of how far apart they are [2]_.

    References
    ----------
    .. [1] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna, "Rethinking the Inception
       Architecture for Computer Vision", CVPR 2016, section 7.
    .. [2] X. Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021.
    """

    def __init__(self, multilabel: bool = False, label_smoothing: float = 0.0, r_drop: float = 0.0):
        super().__init__()
        self.multilabel = multilabel
        self.label_smoothing = label_smoothing
        self.r_drop = r_drop

    def forward(self, logits: Tensor, target: tuple[Tensor, Tensor]) -> Tensor:
        """Mean of the weighted losses of the documents.

        Parameters
        ----------
        logits : Tensor of shape (batch, outputs), or (2, batch, outputs) in training by R-Drop
        target : tuple of (targets, weights)

        Notes
        -----
        Weights have mean 1 over the training set, so a batch's loss is divided by its number of
        documents: dividing by its sum of weights would take the weight from a document that is
        alone in its batch.
        """
        targets, weights = target
        logits = full_precision(logits)
        if not (self.training and self.r_drop):
            # What is held out is judged by the labels as they are.
            smoothing = self.label_smoothing if self.training else 0.0
            return torch.mean(self._losses(logits, targets, smoothing) * weights)
        one, other = logits
        losses = [self._losses(reading, targets, self.label_smoothing) for reading in logits]
        apart = divergence(one, other, self.multilabel)
        return torch.mean((sum(losses) / 2 + self.r_drop * apart) * weights)

    def _losses(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """Loss of every document, shape (batch,)."""
        if self.multilabel:
            wanted = targets.to(logits.dtype)
            return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(dim=1)
        return F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)


def divergence(one: Tensor, other: Tensor, multilabel: bool) -> Tensor:
    """How far apart two predictions of the same documents are.

    Parameters
    ----------
    one, other : Tensor of shape (batch, outputs)
        Logits.
    multilabel : bool

    Returns
    -------
    Tensor of shape (batch,)
        Mean of the Kullback-Leibler divergences in both directions; in a multilabel problem, mean
        of its labels'.
    """
    if multilabel:
        return ((one.sigmoid() - other.sigmoid()) * (one - other)).mean(dim=1) / 2
    one, other = one.log_softmax(dim=1), other.log_softmax(dim=1)
    return ((one.exp() - other.exp()) * (one - other)).sum(dim=1) / 2


class LabelledDocuments(Dataset):
    """Documents with targets and weights.

    Parameters
    ----------
    documents : TokenLists
    targets : ndarray of shape (n,) or (n, n_outputs)
        Class numbers, or 0/1 rows for multilabel problems.
    weights : ndarray of shape (n,)
        Weight of every document in the loss.
    rng : numpy.random.Generator or None
        Shuffles the batches; None keeps them in order of length.
    beside : dict of str to ndarray of shape (n, ...), optional
        What else a `TextClassifier` is told of every document.
    """

    def __init__(
        self,
        documents: TokenLists,
        targets: np.ndarray,
        weights: np.ndarray,
        rng: np.random.Generator | None = None,
        beside: dict[str, np.ndarray] | None = None,
    ):
        self.documents = documents
        self.targets = torch.from_numpy(np.ascontiguousarray(targets))
        self.weights = torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32))
        self.rng = rng
        self.others = {name: torch.from_numpy(rows) for name, rows in (beside or {}).items()}

    def __len__(self) -> int:
        return len(self.documents)

    def beside(self, batch: np.ndarray) -> dict[str, Tensor]:
        """What goes with the tokens or the vectors of some documents."""
        others = {name: rows[batch] for name, rows in self.others.items()}
        return {"weights": self.weights[batch], **others}


class LengthBatches:
    """Batches of labelled documents of similar length, so that little of a batch is padding.

    The weights are among the inputs, so that the targets are what skorch's callbacks take them for.
    Documents are shuffled, sorted by length within pools of many batches, cut into batches, and
    the batches are shuffled.

    Parameters
    ----------
    dataset : LabelledDocuments
    batch_size : int
    """

    POOL = 32  # batches; larger pools pad less, smaller ones mix documents better

    def __init__(self, dataset: LabelledDocuments, batch_size: int):
        self.dataset = dataset
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        data = self.dataset
        lengths = data.documents.lengths
        for batch in self.draw():
            inputs = {
                "ids": torch.from_numpy(data.documents.padded(batch)),
                "lengths": torch.from_numpy(lengths[batch]),
                **data.beside(batch),
            }
            yield inputs, data.targets[batch]

    def draw(self) -> list[np.ndarray]:
        """Draw the batches of an epoch: indices of documents, of falling length."""
        data = self.dataset
        lengths = data.documents.lengths
        order = np.arange(len(data)) if data.rng is None else data.rng.permutation(len(data))
        pool = self.POOL * self.batch_size if data.rng is not None else max(1, len(data))
        batches = [
            batch
            for start in range(0, len(order), pool)
            for batch in length_batches(lengths, order[start : start + pool], self.batch_size)
        ]
        if data.rng is not None:
            data.rng.shuffle(batches)
        return batches


class VectorBatches:
    """The same batches, with the documents' vectors in place of their tokens.

    Parameters
    ----------
    batches : LengthBatches
    vectors : Tensor of shape (n_documents, pooled size)
    """

    def __init__(self, batches: LengthBatches, vectors: Tensor):
        self.batches = batches
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        data = self.batches.dataset
        for batch in self.batches.draw():
            inputs = {"vectors": self.vectors[batch], **data.beside(batch)}
            yield inputs, data.targets[batch]
