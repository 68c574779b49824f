"""Stages 1 and 2, top to bottom: training, the net, its loss, batches of a stream of text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, GradientNormClipping
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset

from ..files import local_path
from ..models import TrainedLanguageModel
from ..models.networks import Weights, to_arrays
from ..modules import AWD_LM_DROPOUTS, LanguageModel, LanguageModelOutput
from ..modules.awd_lstm import detach, full_precision
from ..modules.dropout import MaskSource
from ..modules.softmax import linear_cross_entropy
from ..schedules import layer_groups
from ..text.token_lists import Selection, TokenLists
from .checkpoints import Checkpoints
from .devices import seeded_generator
from .distributed import Share, own_share
from .embeddings import gradients_of_rows
from .net import (
    Outcome,
    TrainingOptions,
    common_arguments,
    each_direction,
    history_of,
    split_rows,
)
from .resumable import ResumableNet
from .sampled_softmax import sampled_next_token_loss

# From which size on the softmax is sampled, and how many words are drawn, unless users say so.
_LARGE_VOCABULARY, _SAMPLES = 16_384, 4096

# Weights of the AWD-LSTM's regularisers: of the squared outputs of the last layer, after dropout
# (AR), and of their squared differences in neighbouring time steps, before dropout (TAR).
_AR, _TAR = 2.0, 1.0


@dataclass(frozen=True, kw_only=True)
class LanguageModelOptions(TrainingOptions):
    """How to train a language model, by the names of the estimator's parameters."""

    softmax_samples: int | str | None
    validation_fraction: float
    checkpoint_dir: str | PathLike[str] | None
    checkpoint_minutes: float


def language_model_stage(
    start: TrainedLanguageModel,
    documents: TokenLists,
    options: LanguageModelOptions,
    split_seed: int,
) -> Outcome:
    """Train a language model in each of its directions (stages 1 and 2).

    Among processes that torchrun started, each computes its share of every batch.

    Parameters
    ----------
    start : TrainedLanguageModel
        Vocabulary and weights to begin with.
    documents : TokenLists
        May be memory maps.
    options : LanguageModelOptions
    split_seed : int
        Draws the texts that are set aside, if early stopping needs them.
    """
    train, valid = set_aside(documents, options, split_seed)
    dropouts = AWD_LM_DROPOUTS.scaled(options.dropout_mult)
    eos_id = start.tokenizer.vocab.bos_id

    def train_one(
        direction: str, own: LanguageModelOptions
    ) -> tuple[Weights, list[dict[str, Any]], KeyboardInterrupt | None]:
        module, backward = start.module(direction, dropouts), direction == "backward"
        rng = np.random.default_rng(own.seed)
        stream = TextStream(train, eos_id=eos_id, backward=backward, rng=rng)
        held_out = None
        if valid is not None:
            held_out = TextStream(valid, eos_id=eos_id, backward=backward)
        history, interrupt = train_language_model(module, stream, held_out, own)
        return to_arrays(module), history, interrupt

    return each_direction(start.directions, train_one, options, "LM")


def set_aside(
    documents: TokenLists, options: LanguageModelOptions, seed: int
) -> tuple[TokenLists | Selection, Selection | None]:
    """Texts to train on, and texts set aside to stop early by.

    Parameters
    ----------
    documents : TokenLists
    options : LanguageModelOptions
    seed : int
    """
    if not options.early_stopping or len(documents) < 2:
        return documents, None
    parts = split_rows(np.arange(len(documents)), options.validation_fraction, seed)
    # In the order that they lie in on disk.
    kept, held_out = (Selection(documents, np.sort(part)) for part in parts)
    return kept, held_out


def train_language_model(
    module: LanguageModel,
    train: TextStream,
    valid: TextStream | None,
    options: LanguageModelOptions,
) -> tuple[list[dict[str, Any]], KeyboardInterrupt | None]:
    """Train a network in place, or take its weights from a training that was completed before.

    Returns
    -------
    history : list of dict
        One an epoch: losses, learning rates.
    interrupt : KeyboardInterrupt or None
    """
    share = own_share()
    callbacks: list[Callback] = [GradientNormClipping(0.3)]
    if options.checkpoint_dir is not None:
        name = "backward.pt" if train.backward else "forward.pt"
        file = local_path(options.checkpoint_dir) / name
        checkpoints = Checkpoints(file, options.checkpoint_minutes, share)
        if (finished := checkpoints.finished()) is not None:
            module.load_state_dict(finished["module"])
            return history_of(finished["history"]), None
        callbacks.append(checkpoints)
    n_samples, vocab_size = options.softmax_samples, module.encoder.sizes.vocab_size
    if n_samples == "auto":
        n_samples = _SAMPLES if vocab_size > _LARGE_VOCABULARY else None
    elif n_samples is not None and int(n_samples) >= vocab_size:
        n_samples = None  # the whole softmax costs less
    # (the processes that share a training sum up dense gradients)
    by_rows = options.device.type == "cpu" and share.count == 1
    generator = seeded_generator(options.seed, options.device)
    masks = MaskSource(generator, (share.index, share.count))
    groups = layer_groups("language model", len(module.encoder.layers))
    net = LanguageModelNet(
        **common_arguments(module, masks, valid, options, *callbacks, unit="tok"),
        share=share,
        sparse_gradients=by_rows,
        criterion=LanguageModelLoss,
        criterion__regularisation=options.dropout_mult,
        criterion__n_samples=n_samples,
        criterion__generator=generator,
        criterion__sparse_gradients=by_rows,
        optimizer__param_groups=[(group.pattern, {}) for group in groups[:-1]],
        iterator_train=BPTTBatches,
        iterator_train__bptt=options.bptt,
        iterator_train__share=share,
        iterator_valid=BPTTBatches,
        iterator_valid__bptt=options.bptt,
    )
    with gradients_of_rows(module.encoder) if by_rows else nullcontext():
        net.fit(train, y=None)
    return history_of(net.history), net.interrupt_


class LanguageModelNet(ResumableNet):
    """Trains a `LanguageModel` on BPTT batches, its state carried from batch to batch.

    Parameters
    ----------
    share : Share, default=Share()
        This process's place among several that train the model together.
    sparse_gradients : bool, default=False
        Let lookups in the embedding give sparse gradients (see `gradients_of_rows`).
    **kwargs
        Of `ResumableNet`.

    Attributes
    ----------
    state_ : list or None
        What the batch before ended with; None where a stream begins.
    """

    state_: Any = None

    def __init__(
        self,
        *args: Any,
        share: Share = Share(),  # noqa: B008
        sparse_gradients: bool = False,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.share = share
        self.sparse_gradients = sparse_gradients

    def initialize_module(self) -> LanguageModelNet:
        super().initialize_module()
        if self.share.count > 1:
            module: torch.nn.Module = self.module_  # type: ignore[has-type]
            self.module_ = DistributedDataParallel(module.to(self.device))
        return self

    def run_single_epoch(self, iterator: Any, training: bool, *args: Any, **kwargs: Any) -> None:
        if not (training and self.first_batch_):
            self.state_ = None
        super().run_single_epoch(iterator, training, *args, **kwargs)

    def progress(self) -> dict[str, Any]:
        carried = [
            [self.share.joined(part, dim=1) for part in layer] for layer in self.state_ or ()
        ]
        return {**super().progress(), "carried": carried}

    def take_up(self, saved: dict[str, Any]) -> None:
        super().take_up(saved)
        self.state_ = [
            tuple(part[:, self.share.rows(part.shape[1])].contiguous() for part in layer)
            for layer in saved["carried"]
        ]

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        step: dict[str, Any] = super().train_step(batch, **fit_params)
        # Not for display alone: early stopping by it has to end all processes in one epoch.
        return {**step, "loss": self.share.mean(step["loss"])}

    def _loss_of_constant_answer(self, train: Dataset) -> float:
        return math.log(self.module.encoder.sizes.vocab_size)

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
        output: LanguageModelOutput = super().infer(
            x, state=self.state_, source=self.masks, sparse_gradients=self.sparse_gradients
        )
        self.state_ = detach(output.state)
        return output


class LanguageModelLoss(nn.Module):
    """Cross entropy of the next word, with the activation regularisers of the AWD-LSTM.

    Parameters
    ----------
    regularisation : float
        Multiplier of the weights of both regularisers.
    n_samples : int or None
        Train with a sampled softmax of that many draws; None: with the whole one.
    generator : torch.Generator or None
        Draws the samples.
    sparse_gradients : bool
        Let the sampled softmax give sparse gradients (see `gradients_of_rows`).

    Attributes
    ----------
    last_nll : Tensor
        Cross entropy of the last training batch, without the regularisers.

    References
    ----------
    Merity, Keskar and Socher (2018), sections 3.5 and 4.
    """

    def __init__(
        self,
        regularisation: float = 1.0,
        n_samples: int | None = None,
        generator: torch.Generator | None = None,
        sparse_gradients: bool = False,
    ):
        super().__init__()
        self.regularisation = regularisation
        self.n_samples = n_samples
        self.generator = generator
        self.sparse_gradients = sparse_gradients

    def forward(self, output: LanguageModelOutput, targets: Tensor) -> Tensor:
        """Mean loss over `targets` of shape (time, batch)."""
        if not self.training:
            return next_token_loss(output, targets)
        if self.n_samples is None:
            loss = next_token_loss(output, targets)
        else:
            loss = sampled_next_token_loss(
                output, targets, self.n_samples, self.generator, self.sparse_gradients
            )
        self.last_nll = loss.detach()
        if self.regularisation:
            ar, tar = self.regularisation * _AR, self.regularisation * _TAR
            loss = loss + ar * full_precision(output.dropped).square().mean()
            if len(output.hidden) > 1:
                hidden = full_precision(output.hidden)
                loss = loss + tar * (hidden[1:] - hidden[:-1]).square().mean()
        return loss


def next_token_loss(output: LanguageModelOutput, targets: Tensor) -> Tensor:
    """Cross entropy of the tied softmax, without regularisers."""
    return linear_cross_entropy(
        output.dropped.flatten(0, 1),
        output.softmax_weight,
        output.softmax_bias,
        targets.flatten(),
    )


class TextStream(Dataset):
    """Documents to be read as one stream of text.

    Parameters
    ----------
    documents : TokenLists or Selection
        Its ids may be a memory map: only what a batch needs is read.
    eos_id : int
        What a document's end is told by: the token that every document begins with. The stream
        ends with one, so that the last document's end is predicted too.
    backward : bool
        Read the stream from its end.
    rng : numpy.random.Generator or None
        Shuffles the documents anew for every epoch; None keeps their order.
    """

    def __init__(
        self,
        documents: TokenLists | Selection,
        *,
        eos_id: int,
        backward: bool = False,
        rng: np.random.Generator | None = None,
    ):
        self.documents = documents
        self.eos_id = eos_id
        self.backward = backward
        self.rng = rng

    def __len__(self) -> int:
        return int(self.documents.lengths.sum())  # as many tokens are predicted

    def read(self) -> Callable[[np.ndarray], np.ndarray]:
        """Draw the order of the documents for an epoch, and open the stream.

        Returns
        -------
        callable
            Gives the tokens at positions, of which there is one more than there are predictions.
        """
        documents, n = self.documents, len(self.documents)
        order = np.arange(n) if self.rng is None else self.rng.permutation(n)
        starts = np.r_[0, np.cumsum(documents.lengths[order])]  # of documents in the stream
        ends, last = starts[1:], starts[-1]
        shifts = documents.starts[order] - starts[:-1]  # from the stream to the ids

        def tokens_at(positions: np.ndarray) -> np.ndarray:
            if self.backward:
                positions = last - positions
            inside = np.minimum(positions, last - 1)
            document = np.searchsorted(ends, inside, side="right")
            tokens = documents.ids[inside + shifts[document]].astype(np.int64)
            tokens[positions == last] = self.eos_id
            return tokens

        return tokens_at


class BPTTBatches:
    """Chunks of a text stream for truncated backpropagation through time.

    The stream is cut into `batch_size` parts that are read side by side, `bptt` tokens at a time:
    every batch goes on where the one before ended, so the state can be carried over.

    Parameters
    ----------
    dataset : TextStream
    batch_size : int
        Number of parts; fewer where the stream is too short to fill them.
    bptt : int
        Number of time steps in a chunk.
    share : Share
        The parts that are read by this process, if there are several.

    Attributes
    ----------
    first_batch : int, default=0
        Where the next pass begins.
    """

    first_batch = 0

    def __init__(
        self,
        dataset: TextStream,
        batch_size: int,
        bptt: int,
        share: Share = Share(),  # noqa: B008
    ):
        self.dataset = dataset
        self.share = share
        n_tokens = len(dataset)
        # Parts shorter than a chunk would make a batch of one step each from a small text.
        n_parts = max(1, min(batch_size, n_tokens // bptt))
        if n_parts < share.count:
            raise ValueError(
                f"{share.count} processes cannot share a batch of {n_parts} parts of text: raise "
                "batch_size, train on more text, or start fewer processes."
            )
        self.n_parts = n_parts - n_parts % share.count
        self.bptt = bptt
        self.part_length = n_tokens // self.n_parts

    def __len__(self) -> int:
        return -(-self.part_length // self.bptt)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        tokens_at = self.dataset.read()
        parts = self.part_length * np.arange(self.n_parts)[self.share.rows(self.n_parts)]
        for start in range(self.first_batch * self.bptt, self.part_length, self.bptt):
            stop = min(start + self.bptt, self.part_length)
            # Time first, and skorch weighs an epoch's losses by the first length: time steps.
            tokens = torch.from_numpy(tokens_at(np.arange(start, stop + 1)[:, None] + parts))
            yield tokens[:-1], tokens[1:]
