"""What the training of a language model starts with: weights and a vocabulary."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from ._estimator import DIRECTIONS, refuse_fitted
from .models import TrainedLanguageModel
from .models.names import load_pretrained
from .text.corpus import TextsInMemory, TextSource
from .text.notices import warn_of_another_language
from .text.tokenizers import make_tokenizer

# Parameters that `fit` may be called with anew to go on from a checkpoint.
_WITHOUT_EFFECT_ON_WEIGHTS = {
    "callbacks",
    "checkpoint_dir",
    "checkpoint_minutes",
    "device",
    "n_jobs",
    "output",
    "pooling",
    "time_budget",
    "verbose",
    "warm_start",
}


def pretrained_model(
    estimator: Any, source: TextSource | None = None
) -> TrainedLanguageModel | None:
    """The model that the parameter `pretrained` stands for; None: a random start.

    Parameters
    ----------
    estimator : ULMFiTLanguageModel
    source : TextSource or None, default=None
        The texts that it is for.

    Raises
    ------
    ValueError
        If it is a fitted estimator, of which is not said what for.

    Warns
    -----
    UserWarning
        If the model does not know the language of the texts.
    """
    given = estimator.pretrained
    if given is None:
        return None
    refuse_fitted(given, "pretrained", "begins with its weights", "pretrained=None")
    known = load_pretrained(given, DIRECTIONS[estimator.direction])
    if isinstance(source, TextsInMemory):
        warn_of_another_language(source.texts, known.tokenizer)
    return known


def start_on(
    estimator: Any,
    source: TextSource,
    known: TrainedLanguageModel | None,
    n_epochs: int,
    seed: int,
) -> TrainedLanguageModel:
    """Weights and vocabulary for texts: of a known model that reads their new words, or at random.

    Parameters
    ----------
    estimator : ULMFiTLanguageModel
        Its parameters say how large vocabulary and network become.
    source : TextSource
    known : TrainedLanguageModel or None
    n_epochs : int
        For which it will be trained.
    seed : int
        Of random weights.
    """
    rare = 1 if known is not None and n_epochs == 0 else 2
    min_freq = rare if estimator.min_freq == "auto" else int(estimator.min_freq)
    limits = {"max_vocab": estimator.max_vocab, "min_freq": min_freq}
    if known is None:
        return TrainedLanguageModel.random(
            source.fit(make_tokenizer(estimator.tokenizer), **limits),
            DIRECTIONS[estimator.direction],
            seed,
            # True is a whole number for scikit-learn, and none in a file.
            emb_size=int(estimator.emb_size),
            hidden_size=int(estimator.hidden_size),
            n_layers=int(estimator.n_layers),
        )
    if n_epochs == 0 and not _reads_new_words(estimator, known):
        return known
    return known.with_tokenizer(source.grow(known.tokenizer, **limits))


def _reads_new_words(estimator: Any, known: TrainedLanguageModel) -> bool:
    """Whether words that have never been trained on are told apart all the same.

    A classifier counts them; features know of them what the lexicon, or their spelling, says.
    """
    if estimator.output == "documents":
        return bool(estimator.max_epochs == "auto")  # (0 is a model as it is)
    return bool(known.sentences and known.sentences.size)


def describe_training(
    estimator: Any, source: TextSource, known: TrainedLanguageModel | None, n_epochs: int
) -> dict[str, Any]:
    """What the result of a training depends on, as JSON can hold it.

    Parameters
    ----------
    estimator : ULMFiTLanguageModel
    source : TextSource
    known : TrainedLanguageModel or None
        What it starts with.
    n_epochs : int
    """
    params = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name not in _WITHOUT_EFFECT_ON_WEIGHTS
    }
    if not isinstance(estimator.random_state, Integral):
        params["random_state"] = None  # the seeds that were drawn are kept
    if known is None:
        tokenizer = make_tokenizer(estimator.tokenizer)
    else:
        tokenizer, params["pretrained"] = known.tokenizer, known.fingerprint
    return {**params, "max_epochs": n_epochs, **source.describe(tokenizer)}
