"""The skorch nets of stage 1 and 2 (language model) and of stage 3 (classifier)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset

from ..modules import EncoderState, LanguageModelOutput
from ..modules.awd_lstm import detach
from .batching import LabelledDocuments, VectorBatches
from .devices import mixed_precision
from .distributed import Share
from .inference import pooled_features
from .progress import ProgressBar


class ULMFiTNet(NeuralNet):
    """What both nets add to skorch's: mixed precision, a check for divergence, interrupts.

    Parameters
    ----------
    amp : bool, default=False
        Compute in bfloat16 where that is safe.
    **kwargs
        Of `skorch.NeuralNet`.

    Attributes
    ----------
    interrupt_ : KeyboardInterrupt or None
        skorch ends a training quietly on Ctrl-C. Kept here for the caller to raise again.
    """

    def __init__(self, *args: Any, amp: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.amp = amp

    def fit_loop(self, X: Any, *args: Any, **kwargs: Any) -> ULMFiTNet:
        self.interrupt_: KeyboardInterrupt | None = None
        try:
            super().fit_loop(X, *args, **kwargs)
            self._check_last_step(X)
            return self
        except KeyboardInterrupt as interrupt:
            if not self._stopped_early():
                self.interrupt_ = interrupt
            raise
        except Exception:
            # skorch tells callbacks of an end only if it is a good one; a bar would stay open.
            for _, callback in self.callbacks_:
                if isinstance(callback, ProgressBar):
                    callback.on_train_end(self)
            raise

    def _check_last_step(self, train: Dataset) -> None:
        """Refuse weights that only one batch more would have shown to be useless."""
        batches = self._as_read(self.get_iterator(train, training=True))
        self.validation_step(next(iter(batches)))
        self.check_weights()

    def _as_read(self, batches: Any) -> Any:
        """What the network is given in place of batches of the data."""
        return batches

    def check_weights(self) -> None:
        """Refuse weights that are not finite.

        Raises
        ------
        FloatingPointError
        """
        if not all(torch.isfinite(value).all() for value in self.module_.state_dict().values()):
            raise self._diverged("weights that are not finite")

    def _stopped_early(self) -> bool:
        """Tell whether it was skorch's own early stopping that raised the interrupt."""
        return any(
            isinstance(callback, EarlyStopping) and callback.misses_ == callback.patience
            for _, callback in self.callbacks_
        )

    def infer(self, x: Any, **fit_params: Any) -> Any:
        with mixed_precision(torch.device(self.device), self.amp):
            return super().infer(x, **fit_params)

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        try:
            return super().train_step(batch, **fit_params)
        except torch.cuda.OutOfMemoryError as error:
            n_weights = sum(parameter.numel() for parameter in self.module_.parameters())
            raise torch.cuda.OutOfMemoryError(
                f"{self.device} ran out of memory while training a network of "
                f"{n_weights / 1e6:.1f} million weights on {self._describe(batch)} "
                f"({str(error).partition('.')[0]})."
            ) from error

    def _describe(self, batch: Any) -> str:
        """Name the sizes of a batch and the parameters that make it smaller."""
        raise NotImplementedError

    def get_loss(self, y_pred: Any, y_true: Any, *args: Any, **kwargs: Any) -> Tensor:
        with mixed_precision(torch.device(self.device), self.amp):
            loss = super().get_loss(y_pred, y_true, *args, **kwargs)
        if not self._is_sound(loss):
            raise self._diverged(f"a loss of {loss.item():.3g}")
        return loss

    def _is_sound(self, loss: Tensor) -> bool:
        return bool(torch.isfinite(loss))

    def _diverged(self, found: str) -> FloatingPointError:
        rate = max(group["lr"] for group in self.optimizer_.param_groups)
        return FloatingPointError(
            f"Training diverged: {found} in epoch {len(self.history)} at a learning rate of "
            f"{rate:.3g}. Lower lr (now {self.lr:g}), or lengthen the warm-up (cut_frac)."
        )


class LanguageModelNet(ULMFiTNet):
    """Trains a `LanguageModel` on BPTT batches, its state carried from batch to batch.

    Parameters
    ----------
    share : Share, default=Share()
        This process's place among several that train the model together.
    **kwargs
        Of `ULMFiTNet`.

    Attributes
    ----------
    state_ : EncoderState or None
        What the batch before ended with.
    first_batch_ : int
        Where the next epoch begins; above 0 after a checkpoint was taken up.
    epoch_begins_with_ : dict
        State of the random generator that shuffles, before it drew the epoch's order.
    """

    state_: EncoderState | None = None
    first_batch_ = 0
    epoch_begins_with_: Any = None

    def __init__(self, *args: Any, share: Share = Share(), **kwargs: Any):  # noqa: B008
        super().__init__(*args, **kwargs)
        self.share = share

    @property
    def generator(self) -> torch.Generator:
        """What draws the dropout masks."""
        generator: torch.Generator = self.module.encoder.generator
        return generator

    def initialize_module(self) -> LanguageModelNet:
        super().initialize_module()
        if self.share.count > 1:
            module: torch.nn.Module = self.module_  # type: ignore[has-type]
            self.module_ = DistributedDataParallel(module.to(self.device))
        return self

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kw: Any) -> ULMFiTNet:
        # History has epochs in it if a checkpoint was taken up.
        return super().fit_loop(X, y, epochs=self.max_epochs - len(self.history), **kw)

    def run_single_epoch(self, iterator: Any, training: bool, *args: Any, **kwargs: Any) -> None:
        if not training or iterator is None:
            self.state_ = None
            super().run_single_epoch(iterator, training, *args, **kwargs)
            return
        random = iterator.dataset.rng.bit_generator
        if self.first_batch_:
            random.state = self.epoch_begins_with_
        else:
            self.epoch_begins_with_ = random.state
            self.state_ = None
        iterator.first_batch, self.first_batch_ = self.first_batch_, 0
        super().run_single_epoch(iterator, training, *args, **kwargs)
        self.history.record("train_batch_count", len(self.history[-1]["batches"]))

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        step: dict[str, Any] = super().train_step(batch, **fit_params)
        return {**step, "loss": self.share.mean(step["loss"])}

    def _is_sound(self, loss: Tensor) -> bool:
        return bool(torch.isfinite(loss.exp()))  # else the perplexity is beyond all numbers

    def _check_last_step(self, train: Dataset) -> None:
        self.state_ = None
        super()._check_last_step(train)

    def _describe(self, batch: Any) -> str:
        n_steps, n_streams = batch[0].shape
        n_words = self.module.encoder.sizes.vocab_size
        return (
            f"{n_streams} streams of {n_steps} tokens, with a vocabulary of {n_words}. Lower "
            f"batch_size (now {self.batch_size}) or bptt, or set softmax_samples"
        )

    def infer(self, x: Tensor, **fit_params: Any) -> LanguageModelOutput:
        output: LanguageModelOutput = super().infer(x, state=self.state_)
        self.state_ = detach(output.state)
        return output


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
