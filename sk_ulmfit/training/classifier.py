"""Stage 3, top to bottom: documents, batches by length, loss, net and training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from skorch.callbacks import GradientNormClipping
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..callbacks import GradualUnfreezing
from ..models.inference import length_batches, pooled_features
from ..modules import TextClassifier
from ..modules.awd_lstm import full_precision
from ..schedules import layer_groups
from ..text.token_lists import TokenLists
from .embeddings import narrowed, renumbering, used_tokens
from .net import (
    Outcome,
    TrainingOptions,
    ULMFiTNet,
    common_arguments,
    each_direction,
    run,
)

# Documents, targets and weights in the loss.
Labelled = tuple[TokenLists, np.ndarray, np.ndarray]


def classifier_stage(
    modules: dict[str, TextClassifier],
    train: Labelled,
    valid: Labelled | None,
    options: TrainingOptions,
    unfreeze_schedule: str | Sequence[int],
    multilabel: bool,
    frozen_dropout: bool,
) -> Outcome:
    """Train a classifier in each direction (stage 3).

    Parameters
    ----------
    modules : dict of str to TextClassifier
        By direction.
    train, valid : tuple of (documents, targets, weights)
    options : TrainingOptions
    unfreeze_schedule : str or sequence of int
    multilabel : bool
    frozen_dropout : bool
        Whether the encoder drops out while it is frozen.
    """
    n_tokens = next(iter(modules.values())).encoder.sizes.vocab_size
    used = used_tokens(n_tokens, train[0], *([] if valid is None else [valid[0]]))

    def labelled(
        data: Labelled, backward: bool, rng: np.random.Generator | None
    ) -> LabelledDocuments:
        documents, targets, weights = data
        if used is not None:
            documents = documents.renumbered(renumbering(n_tokens, used))
        read = documents.reversed() if backward else documents
        return LabelledDocuments(read, targets, weights, rng)

    def train_one(
        module: TextClassifier, backward: bool, options: TrainingOptions
    ) -> list[dict[str, Any]]:
        shuffled = labelled(train, backward, np.random.default_rng(options.seed))
        held_out = None if valid is None else labelled(valid, backward, None)
        with narrowed(module, used):
            return train_classifier(
                module, shuffled, held_out, options, unfreeze_schedule, multilabel, frozen_dropout
            )

    return each_direction(modules, train_one, options, "classifier")


def train_classifier(
    module: TextClassifier,
    train: LabelledDocuments,
    valid: LabelledDocuments | None,
    options: TrainingOptions,
    unfreeze_schedule: str | Sequence[int],
    multilabel: bool,
    frozen_dropout: bool = True,
) -> list[dict[str, Any]]:
    """Train `module` in place (stage 3).

    Returns
    -------
    list of dict
        One an epoch: losses, learning rates, trained layer groups.
    """
    if options.max_epochs == 0:
        return []
    groups = layer_groups("classifier", len(module.encoder.layers))
    net = ClassifierNet(
        module,
        frozen_dropout=frozen_dropout,
        criterion=ClassificationLoss,
        criterion__multilabel=multilabel,
        criterion__label_smoothing=options.label_smoothing,
        criterion__r_drop=options.r_drop,
        optimizer__param_groups=[(group.pattern, {}) for group in groups[:-1]],
        iterator_train=LengthBatches,
        iterator_valid=LengthBatches,
        **common_arguments(
            module, valid, options, GradientNormClipping(25.0), GradualUnfreezing(unfreeze_schedule)
        ),
    )
    return run(net, train)


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
            iterator = self._as_read(iterator)
        super().run_single_epoch(iterator, training, *args, **kwargs)

    def _as_read(self, batches: Any) -> Any:
        if self.frozen_dropout:
            return batches
        if any(parameter.requires_grad for parameter in self.module_.encoder.parameters()):
            self.vectors_ = {}  # the encoder is about to change
            return batches
        return VectorBatches(batches, self._vectors(batches.dataset))

    def _vectors(self, data: LabelledDocuments) -> Tensor:
        """What the frozen encoder makes of every document."""
        if id(data) not in self.vectors_:
            module = self.module_
            vectors = pooled_features(
                module.encoder,
                data.documents,
                torch.device(self.device),
                token_weights=module.token_weights,
                pooling=module.pooling,
                bptt=module.bptt,
            )
            self.vectors_[id(data)] = torch.from_numpy(vectors)
        return self.vectors_[id(data)]

    @property
    def _reads_twice(self) -> bool:
        return self.module_.training and self.criterion_.r_drop > 0

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        step: dict[str, Any] = super().train_step(batch, **fit_params)
        if self._reads_twice:
            step["y_pred"] = step["y_pred"][::2]  # callbacks expect one row a document
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
        x = {name: rows for name, rows in x.items() if name != "weights"}  # of the loss
        if not self._reads_twice:
            return super().infer(x, **fit_params)
        if len(next(iter(x.values()))) == 1:
            # As two rows of one batch, a text alone would be normalised by its dropout.
            return torch.cat([super().infer(x, **fit_params), super().infer(x, **fit_params)])
        # Two rows in one batch cost less than two batches, and have masks of their own, but for
        # those of words and of recurrent weights, which all rows of a batch share.
        x = {name: rows.repeat_interleave(2, dim=0) for name, rows in x.items()}
        return super().infer(x, **fit_params)

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
        Above 0, training logits have two neighbouring rows for every document, computed with
        different dropout, and this is the weight of how far apart they are [2]_.

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

        Weights have mean 1 over the training set, so a batch's loss is divided by its number of
        documents: dividing by its sum of weights would take the weight from a document that is
        alone in its batch.
        """
        targets, weights = target
        logits = full_precision(logits)
        if not self.training:
            # What is held out is judged by the labels as they are.
            return torch.mean(self._losses(logits, targets, 0.0) * weights)
        if not self.r_drop:
            return torch.mean(self._losses(logits, targets, self.label_smoothing) * weights)
        one, other = logits[::2], logits[1::2]
        losses = [self._losses(rows, targets, self.label_smoothing) for rows in (one, other)]
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
    """

    def __init__(
        self,
        documents: TokenLists,
        targets: np.ndarray,
        weights: np.ndarray,
        rng: np.random.Generator | None = None,
    ):
        self.documents = documents
        self.targets = torch.from_numpy(np.ascontiguousarray(targets))
        self.weights = torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32))
        self.rng = rng

    def __len__(self) -> int:
        return len(self.documents)


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
                "weights": data.weights[batch],
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
            inputs = {"vectors": self.vectors[batch], "weights": data.weights[batch]}
            yield inputs, data.targets[batch]
