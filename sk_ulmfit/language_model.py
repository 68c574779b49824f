"""The language model of ULMFiT as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ._compat import Interval, StrOptions, fit_context
from ._estimator import (
    DIRECTIONS,
    NOTHING_NEW,
    Seeds,
    ULMFiTEstimator,
    continued,
)
from ._random import random_numbers
from ._sentences import LearnsMeaning, with_scales
from ._start import describe_training, pretrained_model, start_on
from .documents import EncodedDocuments
from .models import TrainedLanguageModel
from .modules import POOLINGS
from .modules.awd_lstm import DEEPEST, WIDEST
from .text.corpus import TextsInMemory, TextSource, source_of
from .text.files import texts_in, texts_or_stream
from .text.notices import warn_of_unknown_words
from .text.token_lists import TokenLists
from .text.validation import check_texts
from .training.amount import (
    FINE_TUNING_EPOCHS,
    ONE_EPOCH,
    fine_tuning_epochs,
    warn_of_idle_parameters,
)
from .training.budget import deadline_of, epochs_within
from .training.checkpoints import claim_directory, run_directory
from .training.devices import resolve_device
from .training.distributed import own_share
from .training.language_model import LanguageModelOptions, language_model_stage
from .training.net import TrainingInterrupted
from .training.rehearsal import language_model_seconds

_POSITIVE = Interval(Integral, 1, None, closed="left")


def direction_named(directions: tuple[str, ...]) -> str:
    """Name the directions of a trained model as the parameter `direction` does."""
    return next(name for name, names in DIRECTIONS.items() if names == directions)


def _gives_features(estimator: ULMFiTLanguageModel) -> bool:
    if estimator.output != "features":
        raise AttributeError("Only output='features' has columns that can be named.")
    return True


class ULMFiTLanguageModel(LearnsMeaning, TransformerMixin, ULMFiTEstimator):
    """Language model trained on texts; encodes texts for a classifier.

    An AWD-LSTM language model [2]_ is trained from scratch (stage 1 of ULMFiT [1]_), or a
    pretrained one is fine-tuned on the texts of a task (stage 2). `transform` hands texts to
    `ULMFiTClassifier` as `EncodedDocuments`, or turns them into a matrix of features for any
    other estimator.

    Parameters
    ----------
    pretrained : str, path, ULMFiTLanguageModel or None, default="en-small"
        Where training starts from: the shipped model of English, "en-small"; a directory that
        `save` wrote; weights that fastai saved, with their vocabulary beside them; a fitted
        `ULMFiTLanguageModel` in a `sklearn.frozen.FrozenEstimator`; or None for a random start.
    direction : {"forward", "backward", "both"}, default="forward"
        Direction in which texts are read. "both" trains two independent language models.
    tokenizer : {"word", "subword"} or callable, default="word"
        How texts are split, a callable takes a text and returns a list of tokens. Ignored if
        `pretrained` is given, which brings its own.
    max_vocab : int, default=60000
        Largest size of the vocabulary. That of a pretrained model grows by words of the texts up
        to this.
    min_freq : int or "auto", default="auto"
        A word that occurs less often in the texts does not enter the vocabulary. "auto": 2, and 1
        where words are only read, not trained.
    emb_size, hidden_size, n_layers : int, default=128, 384, 2
        Sizes of embedding and hidden layers, number of LSTM layers: small, for small corpora on a
        CPU (the paper: 400, 1150, 3). Ignored if `pretrained` is given.
    dropout_mult : float, default=1.0
        Multiplier of the regularisation: of all dropout probabilities (output .1, hidden .15,
        input .25, embedding .02, weights .2) and of the penalties on activations (AR 2, TAR 1).
    bptt : int, default=70
        Number of tokens through which gradients are propagated.
    lr : float, default=0.01
        Highest learning rate, of the topmost layer. The paper fine-tunes at 0.004.
    lr_decay : float, default=2.6
        In fine-tuning every layer learns at the rate of the one above it divided by this
        (discriminative fine-tuning, section 3.2 of [1]_). From a random start all layers learn
        at `lr`.
    schedule : {"slanted_triangular", "one_cycle", "cosine", "constant"}, \
            default="slanted_triangular"
        Course of the learning rate over all steps (section 3.2 of [1]_).
    cut_frac : float, default=0.1
        Fraction of the steps in which the learning rate rises.
    lr_ratio : float, default=32.0
        How many times lower the lowest learning rate is than the highest.
    max_epochs : int or "auto", default="auto"
        Number of passes over the texts. 0 uses a pretrained model as it is. "auto": 15, or 5 if
        it has layers that know what texts mean (a classifier begins with these, and gains by what
        is learned of new words alone); none for features of a pretrained model, nor where it is
        given fewer than 500 texts: what it would learn of these helps no classifier. It reads
        their new words all the same.
    batch_size : int, default=16
        Number of text streams read side by side.
    softmax_samples : int, "auto" or None, default="auto"
        Train with a sampled softmax, which compares the word that comes next with that many
        words drawn at random instead of with all: several times faster for large vocabularies.
        "auto" draws 4096 of more than 16,384 words. None: always the whole softmax. Perplexity
        is that of the whole softmax in any case.
    weight_decay : float, default=1e-6
        Weight decay of AdamW.
    validation_fraction : float, default=0.1
        Fraction of the texts set aside for early stopping.
    early_stopping : bool, default=False
        Stop when the loss on the texts set aside has not fallen for `patience` epochs, and go
        back to the best epoch's weights. Without effect in `partial_fit`, and where
        nothing is trained.
    patience : int, default=3
        Number of epochs without improvement to wait for.
    output : {"documents", "features"}, default="documents"
        What `transform` returns.
    pooling : {"sentences", "concat", "mean", "max", "last", "concat-layers"}, \
            default="sentences"
        How features are made. "sentences": what the model has learned of the meaning of texts, a
        vector that is near that of a text that means the same, and beside it the pools of
        "concat-layers", scaled. A model that has learned nothing of the kind gives these alone. The
        others are pools as they are. "concat": of the last layer the last one, their maximum and
        their mean (section 3.3 of [1]_); the names of these give one of them alone.
        "concat-layers": maximum, mean and a mean in which rare words count more [3]_, of the
        embedding and of every layer. The last layer knows best what word comes next, lower ones
        better what a text is about.
    checkpoint_dir : str, path or None, default=None
        Where a long training is kept while it lasts. Killed at any point, `fit` with the same
        parameters, texts and directory goes on, and ends with the weights of an uninterrupted
        training. Delete the directory when it is not needed any more.
    checkpoint_minutes : float, default=10.0
        Time between two checkpoints.
    n_jobs : int or None, default=None
        Number of processes that tokenise texts of files and iterables.
    callbacks : list of skorch callbacks, default=None
        Further callbacks of the training, which are used as they are, not copied. One that raises
        `KeyboardInterrupt` ends the training of that direction, as skorch's own do. Where nothing
        is trained none is called; a warning says so if that is what ``max_epochs="auto"`` chose.
    device : str, default="auto"
        "auto" takes a GPU if there is one.
    amp : bool or "auto", default="auto"
        Train in bfloat16 where that is safe, on GPUs and CPUs that compute in it; elsewhere it
        changes nothing. "auto": on CPUs with instructions for it, where the network is large enough
        to gain by it.
    time_budget : float or None, default=None
        Seconds that `fit` may take. Where all epochs would take longer, fewer are planned before
        the first begins, so that the learning rate runs its whole course; a few steps are tried
        for that. None at all leaves a pretrained model as it is; from a random start there is one,
        with a warning. How many they are (`n_epochs_`) depends on the speed of the machine. Not
        together with `checkpoint_dir`; `partial_fit` ignores it.
    warm_start : bool, default=False
        Let `fit` and `fit_sentences` go on from what was learned instead of starting afresh.
    random_state : int, RandomState or None, default=None
        Seed of weights, dropout and shuffling. Equal seeds give equal results on one machine, to
        the last bit if the same number of threads computes them; with a `time_budget`, where they
        are trained for equally many epochs.
    verbose : int, default=0
        Above 0, show progress bars.

    Attributes
    ----------
    trained_ : TrainedLanguageModel
        Tokenizer, sizes and weights.
    vocab_ : tuple of str
        The vocabulary.
    history_ : list of dict
        For every epoch losses and learning rates.
    n_epochs_ : int
        Number of epochs trained, of each direction.

    See Also
    --------
    ULMFiTClassifier : Classifier on top of the language model.

    References
    ----------
    .. [1] J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text
       Classification", ACL 2018.
    .. [2] S. Merity, N. S. Keskar and R. Socher, "Regularizing and Optimizing LSTM Language
       Models", ICLR 2018.
    .. [3] S. Arora, Y. Liang and T. Ma, "A Simple but Tough-to-Beat Baseline for Sentence
       Embeddings", ICLR 2017.

    Examples
    --------
    >>> from sk_ulmfit import ULMFiTLanguageModel
    >>> texts = ["Where is my card?", "My card has not arrived yet."] * 10
    >>> lm = ULMFiTLanguageModel(max_epochs=1, random_state=0)
    >>> lm.fit(texts).transform(texts)
    <EncodedDocuments: 20 documents, 160 tokens, forward>
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ULMFiTEstimator._parameter_constraints,
        "pretrained": "no_validation",  # type: ignore[dict-item]
        "direction": [StrOptions(set(DIRECTIONS))],
        "tokenizer": "no_validation",  # type: ignore[dict-item]
        "max_vocab": [Interval(Integral, 10, None, closed="left")],
        "min_freq": [_POSITIVE, StrOptions({"auto"})],
        "emb_size": [Interval(Integral, 1, WIDEST, closed="both")],
        "hidden_size": [Interval(Integral, 1, WIDEST, closed="both")],
        "n_layers": [Interval(Integral, 1, DEEPEST, closed="both")],
        "softmax_samples": [_POSITIVE, StrOptions({"auto"}), None],
        "checkpoint_dir": [str, PathLike, None],
        "checkpoint_minutes": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "output": [StrOptions({"documents", "features"})],
        "pooling": [StrOptions({*POOLINGS, "sentences"})],
    }

    trained_: TrainedLanguageModel

    _start_parameter = "pretrained"
    _auto_epochs = FINE_TUNING_EPOCHS

    def __init__(
        self,
        pretrained: Any = "en-small",
        *,
        direction: str = "forward",
        tokenizer: str | Callable[[str], list[str]] = "word",
        max_vocab: int = 60000,
        min_freq: int | str = "auto",
        emb_size: int = 128,
        hidden_size: int = 384,
        n_layers: int = 2,
        dropout_mult: float = 1.0,
        bptt: int = 70,
        lr: float = 0.01,
        lr_decay: float = 2.6,
        schedule: str = "slanted_triangular",
        cut_frac: float = 0.1,
        lr_ratio: float = 32.0,
        max_epochs: int | str = "auto",
        batch_size: int = 16,
        softmax_samples: int | str | None = "auto",
        weight_decay: float = 1e-6,
        validation_fraction: float = 0.1,
        early_stopping: bool = False,
        patience: int = 3,
        output: str = "documents",
        pooling: str = "sentences",
        checkpoint_dir: str | PathLike[str] | None = None,
        checkpoint_minutes: float = 10.0,
        n_jobs: int | None = None,
        callbacks: Sequence[Any] | None = None,
        device: Any = "auto",
        amp: bool | str = "auto",
        time_budget: float | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.pretrained = pretrained
        self.direction = direction
        self.tokenizer = tokenizer
        self.max_vocab = max_vocab
        self.min_freq = min_freq
        self.emb_size = emb_size
        self.hidden_size = hidden_size
        self.n_layers = n_layers
        self.dropout_mult = dropout_mult
        self.bptt = bptt
        self.lr = lr
        self.lr_decay = lr_decay
        self.schedule = schedule
        self.cut_frac = cut_frac
        self.lr_ratio = lr_ratio
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.softmax_samples = softmax_samples
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.patience = patience
        self.output = output
        self.pooling = pooling
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_minutes = checkpoint_minutes
        self.n_jobs = n_jobs
        self.callbacks = callbacks
        self.device = device
        self.amp = amp
        self.time_budget = time_budget
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Iterable[str] | PathLike[str], y: Any = None) -> ULMFiTLanguageModel:
        """Train the language model on texts (stage 1), or fine-tune it on them (stage 2).

        A corpus may be larger than memory: texts of files and of iterables without a length are
        read one after another and kept as ids in a file, in `checkpoint_dir` or a temporary
        directory.

        Parameters
        ----------
        X : iterable of str, path or list of paths
            The texts. A `pathlib.Path`, or a list of them, stands for text files in UTF-8, plain
            or compressed (``.gz``, ``.xz``, ``.bz2``), with a blank line between two texts; a
            directory for all files below it.
        y : None
            Ignored: labels are not needed.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If `X` is not a collection of texts, a parameter is not valid, or `checkpoint_dir`
            holds another training.
        FileNotFoundError
            If there is no such file.
        OSError
            If `checkpoint_dir` cannot be written to.

        Warns
        -----
        RuntimeWarning
            If the disk fills up while training: it goes on without new checkpoints.
        UserWarning
            If most tokens of the texts are not in the vocabulary, or the pretrained model does not
            know their language.

        Notes
        -----
        Processes started by ``torchrun`` train one model together, each on its share of every
        batch, and all end with that model.
        """
        return self._fit(texts_or_stream(X))

    @fit_context(prefer_skip_nested_validation=True)
    def _fit(self, texts: Iterable[str], auto_epochs: int | None = None) -> ULMFiTLanguageModel:
        """Fit on checked texts, a list or what is read as a stream.

        `auto_epochs` are the most where a pretrained model is trained for "auto" ones.
        """
        in_memory = isinstance(texts, list)
        with run_directory(self.checkpoint_dir, needed=not in_memory) as directory:
            # (no memory map is open any more after it)
            return self._fit_in(directory, texts, auto_epochs)

    def _fit_in(
        self, directory: Path | None, texts: Iterable[str], auto_epochs: int | None
    ) -> ULMFiTLanguageModel:
        deadline = deadline_of(self.time_budget)
        going_on = self.warm_start and hasattr(self, "trained_")
        seeds = self._seeds(going_on, "start", "split", "training")
        source = source_of(texts, directory, n_jobs=self.n_jobs, verbose=bool(self.verbose))
        known = self.trained_ if going_on else pretrained_model(self, source)
        knows_meaning = known is not None and known.reader is not known
        n_epochs = self._epochs_on(texts, auto_epochs, knows_meaning)
        warn_of_idle_parameters(self, n_epochs)
        with own_share().first_alone():
            if directory is not None and self.checkpoint_dir is not None:
                description = describe_training(self, source, known, n_epochs)
                seeds = Seeds(*claim_directory(directory, description, seeds[:3]))
            start = start_on(self, source, known, n_epochs, seeds.start)
            documents = source.encode(start.tokenizer) if n_epochs else None
        if documents is not None and deadline is not None:
            options = LanguageModelOptions.of(
                self, seed=seeds.training, max_epochs=n_epochs, deadline=deadline
            )
            seconds = language_model_seconds(start, documents, options, seeds.split)
            n_epochs = epochs_within(deadline, seconds, int(known is None), "language model")
            n_epochs = own_share().agreed(n_epochs)
            if n_epochs == 0:  # as if none had been asked for
                documents = None
                if not isinstance(texts, Iterator):  # (which has been read, by the words it has)
                    start = start_on(self, source, known, 0, seeds.start)
        self._train(start, documents, seeds, going_on, max_epochs=n_epochs)
        self._scale_pools(source)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Iterable[str] | PathLike[str], y: Any = None) -> ULMFiTLanguageModel:
        """Train for one epoch more, at a constant learning rate.

        The first call fixes the vocabulary.

        Parameters
        ----------
        X : iterable of str, path or list of paths
            The texts, as `fit` takes them.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        going_on = hasattr(self, "trained_")
        seeds = self._seeds(going_on, "start", "split", "training")
        source = TextsInMemory(texts_in(X))
        if going_on:
            start = self.trained_
        else:
            start = start_on(self, source, pretrained_model(self, source), 1, seeds.start)
        documents = source.encode(start.tokenizer)
        self._train(start, documents, seeds, going_on, **ONE_EPOCH, checkpoint_dir=None)
        self._scale_pools(source)
        return self

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.time_budget is not None and self.checkpoint_dir is not None:
            raise ValueError(
                "The training of a language model with checkpoint_dir can go on in a later call, "
                "and no time_budget, its own or that of a classifier around it, is for several "
                "calls. Set one of the two."
            )

    def _seeds(self, going_on: bool, *names: str) -> Seeds:
        # (of processes that train one model together, those of the first)
        return Seeds(*own_share().agreed(list(super()._seeds(going_on, *names))))

    @property
    def _n_epochs(self) -> int:
        features = self.output == "features" and self.pretrained is not None
        return 0 if features and self.max_epochs == "auto" else super()._n_epochs

    def _epochs_on(self, texts: Iterable[str], auto_epochs: int | None, knows_meaning: bool) -> int:
        """Number of epochs of a `fit` on these texts."""
        if self.max_epochs != "auto" or self.pretrained is None:
            return self._n_epochs
        if auto_epochs is None:
            n_texts = len(texts) if isinstance(texts, list) else None
            auto_epochs = fine_tuning_epochs(n_texts, knows_meaning)
        return min(self._n_epochs, auto_epochs)

    def _lr_decay(self, from_scratch: bool) -> float:
        # Layers that have learned nothing yet need not be gone easy on.
        return 1.0 if from_scratch else self.lr_decay

    def _train(
        self,
        start: TrainedLanguageModel,
        documents: TokenLists | None,
        seeds: Seeds,
        going_on: bool,
        **changes: Any,
    ) -> None:
        """Train on encoded texts (None: not at all), and keep what comes out."""
        before = self.history_ if going_on else []
        from_scratch = self._from_scratch if going_on else self.pretrained is None
        changes["lr_decay"] = self._lr_decay(from_scratch)
        options = LanguageModelOptions.of(self, seed=seeds.training, **changes)
        interrupt = None
        if documents is not None:
            warn_of_unknown_words(documents, start.tokenizer.vocab)
            if from_scratch and not going_on:
                start = start.with_frequencies(documents)
            outcome = language_model_stage(start, documents, options, seeds.split)
            interrupt = outcome.interrupt
            if interrupt is not None and self._keeps_earlier(outcome.history, going_on):
                raise TrainingInterrupted([], NOTHING_NEW) from interrupt
            # Directions that an interrupt did not let begin stay as they were, if they go on.
            weights = {**(start.weights if going_on else {}), **outcome.weights}
            start = replace(start, weights=weights).with_directions(tuple(weights))
            before = continued(before, outcome.history)
        self._set_fitted(start, before, from_scratch)
        if not going_on:
            self.__dict__.pop("sentence_history_", None)  # (of a model that is no more)
        self._count_fit(going_on, seeds)
        if interrupt is not None:
            raise TrainingInterrupted(outcome.history) from interrupt

    def _scale_pools(self, source: TextSource) -> None:
        """Take the scales of the features from the texts, if the model brings none."""
        if (self.output, self.pooling) != ("features", "sentences"):
            return
        try:
            self.trained_ = with_scales(self.trained_, source, resolve_device(self.device))
        except KeyboardInterrupt as interrupt:
            raise TrainingInterrupted(
                self.history_,
                "Interrupted while the scales of the features were taken: the estimator is fitted, "
                "and its features are not scaled.",
            ) from interrupt

    def _set_fitted(
        self, trained: TrainedLanguageModel, history: list[dict[str, Any]], from_scratch: bool
    ) -> ULMFiTLanguageModel:
        self.trained_ = trained
        self._from_scratch = from_scratch
        self.history_ = history
        self.n_epochs_ = max((epoch["epoch"] for epoch in history), default=0)
        return self

    @property
    def vocab_(self) -> tuple[str, ...]:
        """The vocabulary, in the order of the token ids."""
        check_is_fitted(self)
        return self.trained_.tokenizer.vocab.tokens

    @classmethod
    def from_trained(cls, trained: TrainedLanguageModel, **params: Any) -> ULMFiTLanguageModel:
        """Make a fitted estimator of a trained language model.

        Parameters
        ----------
        trained : TrainedLanguageModel
        **params
            Parameters of the estimator.

        Returns
        -------
        ULMFiTLanguageModel
        """
        described = {
            "direction": direction_named(trained.directions),
            "emb_size": trained.emb_size,
            "hidden_size": trained.hidden_size,
            "n_layers": trained.n_layers,
        }
        return cls(**{**described, **params})._set_fitted(trained, [], False)

    def transform(self, X: Iterable[str] | PathLike[str]) -> Any:
        """Encode texts.

        Parameters
        ----------
        X : iterable of str, path or list of paths
            The texts, as `fit` takes them.

        Returns
        -------
        EncodedDocuments or ndarray of shape (n_texts, n_features)
            With ``output="documents"`` what `ULMFiTClassifier` takes, with ``"features"`` what
            `pooling` says, as float32.
        """
        check_is_fitted(self)
        tokens = self.trained_.tokenizer.documents(texts_in(X))
        documents = EncodedDocuments(tokens, self.trained_, self.pooling, self.device)
        return documents if self.output == "documents" else documents.features()

    def fit_transform(
        self, X: Iterable[str] | PathLike[str], y: Any = None, **fit_params: Any
    ) -> Any:
        """Fit on texts, and encode them.

        Parameters
        ----------
        X : iterable of str, path or list of paths
            The texts, as `fit` takes them. Also those of a generator, which can be read only once.
        y : None
            Ignored.
        **fit_params
            Of `fit`.

        Returns
        -------
        EncodedDocuments or ndarray
        """
        return super().fit_transform(list(X) if isinstance(X, Iterator) else X, y, **fit_params)

    def perplexity(self, X: Iterable[str] | PathLike[str]) -> float:
        """Perplexity per token of texts.

        Every text is read from its beginning; each token after the first is predicted, and the
        text's end. With two directions it is the perplexity of both taken together.

        Parameters
        ----------
        X : iterable of str, path or list of paths
            The texts, as `fit` takes them.

        Returns
        -------
        float
            ``exp`` of the mean negative log-likelihood. Lower is better. It compares only
            between models of the same vocabulary.
        """
        with np.errstate(over="ignore"):  # of texts that cannot be less likely it is infinite
            return float(np.exp(-self.score(X)))

    def score(self, X: Iterable[str] | PathLike[str], y: Any = None) -> float:
        """Mean log-likelihood per token of texts; higher is better.

        Parameters
        ----------
        X : iterable of str, path or list of paths
            The texts, as `fit` takes them.
        y : None
            Ignored.

        Returns
        -------
        float
            In nats, the negative logarithm of the perplexity.
        """
        check_is_fitted(self)
        trained = self.trained_
        tokens = trained.tokenizer.documents(texts_in(X))
        total, count = trained.nll(tokens, resolve_device(self.device), self.bptt)
        return -total / count

    def generate(
        self,
        prompt: str = "",
        *,
        max_tokens: int = 50,
        temperature: float = 1.0,
        random_state: Any = None,
    ) -> str:
        """Let the forward language model write on.

        Parameters
        ----------
        prompt : str, default=""
            The text to go on from.
        max_tokens : int, default=50
            Number of tokens to write at most; it ends earlier where the model ends the text.
        temperature : float, default=1.0
            Below 1 the likely words become likelier still; 0 always takes the likeliest.
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        str
            Prompt and continuation.

        Raises
        ------
        ValueError
            If the language model reads backward only, or a parameter is not valid.
        """
        check_is_fitted(self)
        if "forward" not in self.trained_.directions:
            raise ValueError("generate() needs a forward language model: this reads backward only.")
        if not isinstance(temperature, Real) or not 0 <= temperature < np.inf:
            raise ValueError(f"temperature must be a number from 0 up, got {temperature!r}.")
        if not isinstance(max_tokens, Integral) or max_tokens < 0:
            raise ValueError(f"max_tokens must be a whole number from 0 up, got {max_tokens!r}.")
        trained = self.trained_
        written = trained.generate(
            trained.tokenizer.encode(check_texts([prompt]))[0].tolist(),
            resolve_device(self.device),
            max_tokens=int(max_tokens),
            temperature=float(temperature),
            random=random_numbers(random_state),
        )
        return str(trained.tokenizer.decode(written))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    @available_if(_gives_features)
    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that `transform` gives with ``output="features"``.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        return np.asarray(self.trained_.feature_names(self.pooling), dtype=object)

    def _to_saved(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        check_is_fitted(self)
        description, arrays = self.trained_.to_parts()
        own = {"history": self.history_, "from_scratch": self._from_scratch}
        if hasattr(self, "sentence_history_"):
            own["sentence_history"] = self.sentence_history_
        return {"language_model": description, **own}, arrays

    def _restore(self, description: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        trained = TrainedLanguageModel.from_parts(description["language_model"], arrays)
        self._set_fitted(trained, description["history"], bool(description["from_scratch"]))
        if "sentence_history" in description:
            self.sentence_history_ = description["sentence_history"]
