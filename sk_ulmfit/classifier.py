"""The text classifier of ULMFiT as a scikit-learn classifier."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from ._compat import Interval, StrOptions, check_sample_weight, fit_context
from ._estimator import NOTHING_NEW, ULMFiTEstimator, continued
from ._fine_tuning import hand_over, handed_over, language_model_for
from ._targets import (
    Targets,
    check_validation_set,
    document_weights,
    encode_targets,
    read_classes,
    read_labels,
    set_aside,
)
from .calibration import fit_temperature
from .documents import EncodedDocuments, texts_or_documents
from .language_model import ULMFiTLanguageModel
from .models import TrainedClassifier
from .modules import POOLINGS
from .schedules import UNFREEZE_SCHEDULES, trained_groups
from .text.notices import warn_of_long_texts
from .text.token_lists import TokenLists
from .training.amount import CLASSIFIER_EPOCHS, ONE_CLASSIFIER_EPOCH, planned_training
from .training.classifier import ClassifierOptions, hidden_sizes
from .training.devices import resolve_device
from .training.net import TrainingInterrupted, check_callbacks
from .training.solved_head import head_stage


class ULMFiTClassifier(ClassifierMixin, ULMFiTEstimator):
    """Text classifier trained on top of a language model (stage 3 of ULMFiT).

    The encoder of a language model is extended by concat pooling and two linear layers, and
    trained with discriminative learning rates, slanted triangular learning rates and gradual
    unfreezing [1]_. Texts are read as a whole, however long they are.

    Parameters
    ----------
    language_model : str, path, ULMFiTLanguageModel or None, default="en-small"
        The language model to begin with, if `X` is raw texts:

        - a name or path: weights that are fine-tuned on the texts first (stage 2), by default
          parameters of `ULMFiTLanguageModel` (None: from a random start);
        - an unfitted `ULMFiTLanguageModel`: a recipe, cloned and fitted on the texts first;
        - a fitted one in a `sklearn.frozen.FrozenEstimator`: used as it is.

        A fitted one without that is refused: its clones in a search would be unfitted. Not used
        if `X` is the `EncodedDocuments` of a language-model step.
    unfreeze_schedule : {"gradual", "full", "last", "chain-thaw"} or tuple of int, \
            default="gradual"
        Which layers are trained in which epoch (section 3.3 of [1]_). "gradual": the last layer
        in the first epoch, then one more each epoch. "full": all. "last": the last only.
        "chain-thaw": the last, then each alone, then all. A tuple gives the epochs of each step
        of gradual unfreezing, all layers in its last step; its sum replaces `max_epochs`.
    lr : float, default=0.01
        Highest learning rate, of the head.
    lr_decay : float, default=2.6
        Every layer learns at the rate of the one above it divided by this (section 3.2 of [1]_).
    schedule : {"slanted_triangular", "one_cycle", "cosine", "constant"}, \
            default="slanted_triangular"
        Course of the learning rate over all steps (section 3.2 of [1]_).
    cut_frac : float, default=0.1
        Fraction of the steps in which the learning rate rises.
    lr_ratio : float, default=32.0
        How many times lower the lowest learning rate is than the highest.
    max_epochs : int or "auto", default="auto"
        Number of passes over the texts. "auto": as many as the labelled texts are worth. None for
        fewer than 500 of them, or 40 a class: the head is solved for, which takes seconds, and
        training would make it no better. 20 for more, 15 from 2,000 on. `n_epochs_` has what was
        chosen.
    batch_size : int, default=16
        Number of texts in a step.
    bptt : int, default=70
        Number of tokens in a chunk of a text; the state is carried from chunk to chunk.
    max_length : int or None, default=None
        Cut texts to this many tokens. None reads them as a whole.
    dropout_mult : float, default=0.5
        Multiplier of all dropout probabilities of the paper's scripts (head .4 and .1, hidden .3,
        input .4, embedding .05, weights .5).
    r_drop : float, default=1.0
        Weight of R-Drop [4]_: in training every text is read twice at a time, with other dropout
        of inputs, hidden units and head, and this much of how far apart the two predictions are
        (half of the Kullback-Leibler divergences in both directions) is added to the mean of their
        losses. (The paper adds it to their sum: this is half of its alpha.) 0 reads texts once, in
        half to two thirds of the time and in less memory.
    frozen_dropout : bool, default=True
        Whether the encoder drops out while all of it is frozen, as the paper's does. False: its
        outputs do not change then, so they are computed once and kept (12 bytes a text for every
        unit of embedding and layers), and epochs that train the head alone cost next to nothing.
    head_sizes : tuple of int or "auto", default="auto"
        Widths of the head's hidden layers. "auto": one of 50, as the paper's, or of twice as many
        as there are classes if that is more: a layer narrower than the classes would have to tell
        more of them apart than it has units. At most 500: such a layer grows with their square.
    encoder_start : {"sentences", "language-model"}, default="sentences"
        Which layers training begins with. "sentences": those that have learned from a teacher what
        texts mean, if the language model has such (of "en-small" forward): it errs less then, after
        half the time. "language-model": its own, as the paper's, which learn most in a long
        stage 2.
    head_start : {"auto", "solved", "random"}, default="auto"
        What the head's weights are before the first step. "solved": those of a regularised
        logistic regression on what texts mean (if the language model has learned that), on the
        vectors of the frozen encoder and on the texts' words; what each of these counts, and the
        strength, is what predicts texts left out best: a head that errs would bend the encoder
        [6]_. It then has no hidden layers.
        "auto": solved where ``max_epochs="auto"`` finds that labels are too few to train by, random
        else. `partial_fit` begins at random.
    linear_share : float or "auto", default="auto"
        How much the linear model of ``head_start="solved"`` counts beside the trained network:
        the logarithms of their probabilities are averaged, with this weight of the linear one's
        (1: nothing is trained). A number below 1 asks for a training, however few the labels are.
        "auto", if ``max_epochs="auto"`` or ``head_start="solved"``: what predicts texts set aside
        best (`X_val`, or those for `early_stopping` and `calibrate`). Where none are, a short
        training on either half of the texts is judged by the other half; of 2,000 texts and more
        both count the same. 0 else, the network alone.
        `linear_share_` has what was chosen. Between 0 and 1, predicting reads texts by the
        network and by the encoder as it was.
    word_features : bool, default=True
        Let the linear model count words as well, as TF-IDF does. Training leaves these weights.
    pooling : {"concat", "mean", "max", "last", "concat-layers"}, \
            default="concat-layers"
        How a text's vector is made of the encoder's outputs. "concat": of the last layer the last
        one, their maximum and their mean (section 3.3 of [1]_); the names of these give one of
        them alone. "concat-layers": maximum, mean and a mean in which rare words count
        more [2]_, of the embedding and of every layer. The last layer knows best what word comes
        next, lower ones better what a text is about. A linear head beside that of "concat-layers"
        is told what the text means, too, if the language model has learned that.
    calibrate : bool, default=False
        Set texts aside and scale the logits by the temperature at which the labels of these are
        most probable [3]_. Networks tend to be too sure; predictions hardly change. Without effect
        in `partial_fit`, which sets no texts aside.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss.
    label_smoothing : float, default=0.1
        Share of the target that is spread evenly over all classes in training, at least 0 and
        less than 1 [5]_: the network need not be ever surer of texts that it has right. Without
        effect in multilabel problems.
    weight_decay : float, default=1e-6
        Weight decay of AdamW.
    validation_fraction : float, default=0.1
        Fraction of the texts set aside for early stopping and calibration, stratified where that
        can be done.
    early_stopping : bool, default=False
        Stop when the loss on the texts set aside has not fallen for `patience` epochs, and go
        back to the best epoch's weights. Without effect in `partial_fit`, and where
        nothing is trained.
    patience : int, default=3
        Number of epochs without improvement to wait for.
    callbacks : list of skorch callbacks, default=None
        Further callbacks of the training, which are used as they are, not copied. One that raises
        `KeyboardInterrupt` ends the training of that direction, as skorch's own do. Where nothing
        is trained none is called; a warning says so, as of `lr` and other parameters of training,
        if that is what ``max_epochs="auto"`` chose.
        ``EpochScoring("accuracy", lower_is_better=False)`` puts that of the texts set aside (for
        `early_stopping` or `calibrate`) into `history_`. What scores see of classes is their
        numbers in `classes_`; of two directions they see the one in training, of R-Drop's two
        predictions the first. Rates are set before every step, whatever a callback made of them;
        what a callback freezes stays frozen. The network that they see has embeddings of the words
        that occur in the texts alone: its weights, which skorch's `Checkpoint` writes, fit no
        other network.
    device : str, default="auto"
        "auto" takes a GPU if there is one.
    amp : bool or "auto", default="auto"
        Train in bfloat16 where that is safe, on GPUs and CPUs that compute in it; elsewhere it
        changes nothing. "auto": on CPUs with instructions for it, where the network is large enough
        to gain by it.
    time_budget : float or None, default=None
        Seconds that `fit` may take, of which training the language model gets a third at most
        (unless it is a recipe with a budget of its own). Where all epochs would take longer, fewer
        are planned before the first begins, so that learning rates and unfreezing run their whole
        course; a few steps are tried for that. If there is no time for one, the linear model of
        ``head_start="solved"`` is all (`linear_share_` is 1); without it there is one epoch, with a
        warning. How many they are (`n_epochs_`) depends on the speed of the machine. Not together
        with a tuple in `unfreeze_schedule`. `partial_fit` ignores it, but for the language model
        that its first call may train.
    warm_start : bool, default=False
        Let `fit` go on from the fitted state instead of starting afresh: a network is trained
        further. Of a linear model (`linear_share_` is 1) and labels so few that
        ``max_epochs="auto"`` trains nothing, the head is solved for anew, on the texts of this call
        alone.
    random_state : int, RandomState or None, default=None
        Seed of weights, dropout and shuffling. Equal seeds give equal results on one machine, to
        the last bit if the same number of threads computes them; with a `time_budget`, where they
        are trained for equally many epochs.
    verbose : int, default=0
        Above 0, show progress bars.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.
    history_ : list of dict
        For every epoch losses, learning rates of the layer groups, and which were trained. Unlike
        `valid_loss`, `train_loss` is computed with dropout, smoothed labels and R-Drop.
    n_epochs_ : int
        Number of epochs trained, of each direction.
    linear_share_ : float
        How much the linear model counts: 1 if there is no other, 0 if there is none.
    language_model_ : ULMFiTLanguageModel
        The fitted language model that training began with.
    trained_ : TrainedClassifier
        Classes, shape of the head, and weights.

    See Also
    --------
    ULMFiTLanguageModel : The language model.

    References
    ----------
    .. [1] J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text
       Classification", ACL 2018.
    .. [2] S. Arora, Y. Liang and T. Ma, "A Simple but Tough-to-Beat Baseline for Sentence
       Embeddings", ICLR 2017.
    .. [3] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
       Networks", ICML 2017.
    .. [4] X. Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021.
    .. [5] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna, "Rethinking the Inception
       Architecture for Computer Vision", CVPR 2016.
    .. [6] A. Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
       Out-of-Distribution", ICLR 2022.

    Examples
    --------
    >>> from sk_ulmfit import ULMFiTClassifier
    >>> texts = ["Where is my card?", "The app does not start."] * 10
    >>> clf = ULMFiTClassifier(random_state=0).fit(texts, ["card", "app"] * 10)
    >>> clf.predict_proba(["Is it in the app?"]).shape
    (1, 2)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ULMFiTEstimator._parameter_constraints,
        "language_model": "no_validation",  # type: ignore[dict-item]
        "unfreeze_schedule": [StrOptions(set(UNFREEZE_SCHEDULES)), tuple, list],
        "r_drop": [Interval(Real, 0, None, closed="left")],
        "frozen_dropout": ["boolean"],
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
        "head_sizes": [tuple, list, StrOptions({"auto"})],
        "encoder_start": [StrOptions({"sentences", "language-model"})],
        "head_start": [StrOptions({"auto", "random", "solved"})],
        "linear_share": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "word_features": ["boolean"],
        "pooling": [StrOptions(set(POOLINGS))],
        "calibrate": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }

    trained_: TrainedClassifier
    language_model_: ULMFiTLanguageModel

    _start_parameter = "language_model"
    _auto_epochs = CLASSIFIER_EPOCHS

    def __init__(
        self,
        language_model: Any = "en-small",
        *,
        unfreeze_schedule: str | tuple[int, ...] = "gradual",
        lr: float = 0.01,
        lr_decay: float = 2.6,
        schedule: str = "slanted_triangular",
        cut_frac: float = 0.1,
        lr_ratio: float = 32.0,
        max_epochs: int | str = "auto",
        batch_size: int = 16,
        bptt: int = 70,
        max_length: int | None = None,
        dropout_mult: float = 0.5,
        r_drop: float = 1.0,
        frozen_dropout: bool = True,
        head_sizes: tuple[int, ...] | str = "auto",
        encoder_start: str = "sentences",
        head_start: str = "auto",
        linear_share: float | str = "auto",
        word_features: bool = True,
        pooling: str = "concat-layers",
        calibrate: bool = False,
        class_weight: dict | str | None = None,
        label_smoothing: float = 0.1,
        weight_decay: float = 1e-6,
        validation_fraction: float = 0.1,
        early_stopping: bool = False,
        patience: int = 3,
        callbacks: Sequence[Any] | None = None,
        device: Any = "auto",
        amp: bool | str = "auto",
        time_budget: float | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.language_model = language_model
        self.unfreeze_schedule = unfreeze_schedule
        self.lr = lr
        self.lr_decay = lr_decay
        self.schedule = schedule
        self.cut_frac = cut_frac
        self.lr_ratio = lr_ratio
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.bptt = bptt
        self.max_length = max_length
        self.dropout_mult = dropout_mult
        self.r_drop = r_drop
        self.frozen_dropout = frozen_dropout
        self.head_sizes = head_sizes
        self.encoder_start = encoder_start
        self.head_start = head_start
        self.linear_share = linear_share
        self.word_features = word_features
        self.pooling = pooling
        self.calibrate = calibrate
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.patience = patience
        self.callbacks = callbacks
        self.device = device
        self.amp = amp
        self.time_budget = time_budget
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Iterable[str] | EncodedDocuments,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Iterable[str] | EncodedDocuments | None = None,
        y_val: Any = None,
    ) -> ULMFiTClassifier:
        """Train the classifier.

        Parameters
        ----------
        X : iterable of str, or EncodedDocuments
            The texts. From raw texts a language model is trained first (see `language_model`).
        y : array-like of shape (n_texts,) or (n_texts, n_outputs)
            Their labels. Texts without one train the language model only: with ``y == -1``
            (numbers), or None, NaN, NA, or masked. An indicator matrix makes it a multilabel
            problem.
        sample_weight : array-like of shape (n_texts,), default=None
            Weights of the texts in the loss.
        X_val : iterable of str, or EncodedDocuments, default=None
            Texts of your own to judge the training by, in place of `validation_fraction` of `X`:
            nothing is learned from them but when to stop (`early_stopping`), the temperature
            (`calibrate`) and how much a linear model counts (`linear_share`). Loss and
            accuracy on them are in `history_`. A pipeline passes them on,
            ``pipe.fit(X, y, clf__X_val=texts, clf__y_val=labels)``: texts as they were written.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their labels.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If `X`, `y`, `X_val`, `y_val` or a parameter is not valid.

        Warns
        -----
        UserWarning
            If -1 stands among classes that are numbers: it may have been meant as one of them. If
            every text has a class of its own, a text is many times as long as others, or the
            language model does not know the language of the texts.
        """
        going_on = self.warm_start and hasattr(self, "trained_")
        X = texts_or_documents(X)
        targets = encode_targets(y, len(X), self.classes_ if going_on else None)
        own_val = check_validation_set(X_val, y_val, targets)
        plan = planned_training(self, targets.labelled, len(targets.classes), going_on)
        return self._fit(X, targets, sample_weight, going_on, own_val=own_val, **plan)

    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self,
        X: Iterable[str] | EncodedDocuments,
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
    ) -> ULMFiTClassifier:
        """Train all layers for one epoch more, at constant learning rates.

        No texts are set aside: `early_stopping` and `calibrate` have no effect, and what an
        earlier `fit` calibrated is so no longer.

        Parameters
        ----------
        X : iterable of str, or EncodedDocuments
            The texts. The first call trains the language model on them, if they are raw texts.
        y : array-like of shape (n_texts,) or (n_texts, n_outputs)
            Their labels.
        classes : array-like or set, default=None
            All classes that will ever be met. Needed in the first call, unless all of them are
            in `y`.
        sample_weight : array-like of shape (n_texts,), default=None
            Weights of the texts in the loss. They and those of `class_weight` count as they are:
            in `fit` only their ratios do.

        Returns
        -------
        self
        """
        going_on = hasattr(self, "trained_")
        X = texts_or_documents(X)
        if going_on:
            if classes is not None and not np.array_equal(read_classes(classes), self.classes_):
                raise ValueError(
                    f"classes={list(classes)} is not the same as in the first call to "
                    f"partial_fit: {self.classes_.tolist()}."
                )
            classes = self.classes_
        elif classes is not None:
            classes = read_classes(classes)
        targets = encode_targets(y, len(X), classes)
        if self.calibrate:
            warnings.warn(
                "calibrate=True has no effect in partial_fit, which sets no texts aside: the "
                "probabilities are those of the network.",
                UserWarning,
                stacklevel=3,  # where it was called, behind scikit-learn's wrapper
            )
        return self._fit(X, targets, sample_weight, going_on, **ONE_CLASSIFIER_EPOCH)

    def _fit(
        self,
        X: list[str] | EncodedDocuments,
        targets: Targets,
        sample_weight: Any,
        going_on: bool,
        *,
        validation_fraction: float | None = None,
        own_val: tuple[list[str] | EncodedDocuments, Targets] | None = None,
        reads_only: bool = False,
        relative: bool = True,
        **changes: Any,
    ) -> ULMFiTClassifier:
        """Train on checked labels, by the parameters but for some changes.

        `relative` tells whether only ratios of the texts' weights count, `reads_only` whether a
        pretrained language model is to be fine-tuned only if it says for how long.
        """
        # Before hours of training, what would fail after them.
        options = ClassifierOptions.of(self, seed=0, **changes)
        holds_out = validation_fraction is not None or own_val is not None
        check_callbacks(self.callbacks, holds_out or not options.trains)
        first = () if going_on else ("start",)
        seeds = self._seeds(going_on, *first, "split", "training", "head")
        weights = self._weights(targets, sample_weight, relative)
        if going_on:
            self._check_goes_on(targets)
            language_model = self.language_model_
            # (a temperature is of the weights that it was fitted for)
            start = self.trained_.at_temperature(1.0)
        else:
            language_model = language_model_for(self, X, seeds.start, reads_only)
            start = TrainedClassifier(
                language_model.trained_,
                targets.classes,
                targets.multilabel,
                hidden_sizes(self.head_sizes, len(targets.classes), options.head_start == "solved"),
                self.pooling,
            )
        fraction = None
        if own_val is None and (options.trains or self.calibrate):
            fraction = validation_fraction
        options = replace(options, seed=seeds.training)
        brought = going_on or isinstance(X, EncodedDocuments)
        with nullcontext() if brought else handed_over(self, language_model):
            documents = self._tokens(X, start)
            warn_of_long_texts(documents.lengths, self.max_length)
            train, valid = set_aside(documents, targets, weights, fraction, seeds.split)
            if own_val is not None:
                texts, known = own_val
                weights = document_weights(known, self.class_weight, None)
                valid, _ = set_aside(self._tokens(texts, start), known, weights, None, seeds.split)
            start, outcome = head_stage(start, train, valid, options, seeds.head)
        interrupt = outcome.interrupt
        if interrupt is not None and self._keeps_earlier(outcome.history, going_on):
            told = TrainingInterrupted([], NOTHING_NEW)
            hand_over(self, language_model, told)
            raise told from interrupt
        # Directions that an interrupt did not let begin stay as they were, if they were trained.
        trained = replace(start, weights={**start.weights, **outcome.weights})
        if trained.linear_share == 1 and not trained.is_linear:  # any more
            trained = replace(trained, linear_share=0.0)
        if self.calibrate and valid is not None and interrupt is None:
            try:
                logits = trained.logits(valid[0], options.device, self.bptt)
                temperature = fit_temperature(logits, *valid[1:], trained.multilabel)
                trained = trained.at_temperature(temperature)
            except KeyboardInterrupt as late:  # what has been trained is kept, as ever
                interrupt = late
        history = continued(self.history_ if going_on else [], outcome.history)
        self._set_fitted(trained, language_model, history)
        self._count_fit(going_on, seeds)
        if interrupt is not None:
            raise TrainingInterrupted(outcome.history) from interrupt
        return self

    def _weights(self, targets: Targets, sample_weight: Any, relative: bool) -> np.ndarray:
        """Weights of the labelled texts in the loss."""
        if sample_weight is not None:
            labelled = targets.labelled
            sample_weight = check_sample_weight(sample_weight, labelled)[labelled]
        return document_weights(targets, self.class_weight, sample_weight, relative=relative)

    def _check_goes_on(self, targets: Targets) -> None:
        """Refuse a fit that would go on with another task or another head."""
        start = self.trained_
        if targets.multilabel != start.multilabel:
            raise ValueError("y is of another kind (multilabel or not) than that fitted with.")
        head_sizes = hidden_sizes(self.head_sizes, len(start.classes), bool(start.solved))
        fitted_with = {"pooling": start.pools, "head_sizes": start.head_sizes}
        for name, given in (("pooling", self.pooling), ("head_sizes", head_sizes)):
            if given != (fitted := fitted_with[name]):
                raise ValueError(
                    f"{name} cannot change in a fit that goes on: it is {given!r}, the fitted head "
                    f"has {fitted!r}. Set it back, or fit anew with warm_start=False."
                )

    def _validate_params(self) -> None:
        super()._validate_params()
        steps = self.unfreeze_schedule
        if not isinstance(steps, str):
            trained_groups(steps, max(1, len(steps)), 1)
            if self.time_budget is not None:
                raise ValueError(
                    "time_budget chooses the number of epochs, and unfreeze_schedule="
                    f"{tuple(steps)!r} gives them. Set one of the two: time_budget=None, or "
                    "unfreeze_schedule='gradual'."
                )
        hidden_sizes(self.head_sizes, 1, self.head_start == "solved")

    def _set_fitted(
        self,
        trained: TrainedClassifier,
        language_model: ULMFiTLanguageModel,
        history: list[dict[str, Any]],
    ) -> None:
        self.trained_ = trained
        self.classes_ = trained.classes
        self.language_model_ = language_model
        self.history_ = history
        self.n_epochs_ = max((epoch["epoch"] for epoch in history), default=0)
        self.linear_share_ = trained.linear_share

    def _tokens(self, X: list[str] | EncodedDocuments, trained: TrainedClassifier) -> TokenLists:
        """Tokens of `X` in the vocabulary that a classifier was fitted with."""
        if not isinstance(X, EncodedDocuments):
            tokens = trained.language_model.tokenizer.documents(X)
        elif trained.language_model.reads(X.language_model):
            tokens = X.tokens
        else:
            raise ValueError(
                "These documents were encoded by another language model than the one that the "
                "classifier was fitted on. Encode them with that one's transform()."
            )
        return tokens if self.max_length is None else tokens.head(self.max_length)

    def predict_proba(self, X: Iterable[str] | EncodedDocuments) -> np.ndarray:
        """Probabilities of the classes, averaged over the directions of the language model.

        Parameters
        ----------
        X : iterable of str, or EncodedDocuments
            The texts.

        Returns
        -------
        ndarray of shape (n_texts, n_classes)
            Rows sum to 1; in a multilabel problem each entry is the probability of its label.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Iterable[str] | EncodedDocuments) -> np.ndarray:
        """Logarithms of the probabilities, also of those that are too small for `predict_proba`.

        Parameters
        ----------
        X : iterable of str, or EncodedDocuments
            The texts.

        Returns
        -------
        ndarray of shape (n_texts, n_classes)
        """
        trained, question = self._read(X)
        return trained.log_probabilities(*question)

    def decision_function(self, X: Iterable[str] | EncodedDocuments) -> np.ndarray:
        """Scores that order texts as the probabilities do, but never saturate.

        Parameters
        ----------
        X : iterable of str, or EncodedDocuments
            The texts.

        Returns
        -------
        ndarray of shape (n_texts,) or (n_texts, n_classes)
            With two classes, the logarithm of the odds of the second; with more, logarithms of
            their probabilities; in a multilabel problem, that of the odds of every label.
        """
        trained, question = self._read(X)
        scores = trained.log_odds(*question)
        if trained.multilabel or scores.shape[1] != 2:
            return scores
        return scores[:, 1] - scores[:, 0]

    def score(
        self, X: Iterable[str] | EncodedDocuments, y: Any, sample_weight: Any = None
    ) -> float:
        """Accuracy on the texts that have a label.

        Parameters
        ----------
        X : iterable of str, or EncodedDocuments
            The texts.
        y : array-like of shape (n_texts,) or (n_texts, n_outputs)
            Their labels. As in `fit`, texts without one do not count.
        sample_weight : array-like of shape (n_texts,), default=None
            Weights of the texts.

        Returns
        -------
        float
            In a multilabel problem, the share of texts whose labels are all right.
        """
        X = texts_or_documents(X)
        labels = read_labels(y, len(X))
        rows = np.flatnonzero(labels.labelled)
        if not len(rows):
            raise ValueError("No text has a label: every y is -1 or missing.")
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, labels.labelled, negative=True)[rows]
        known = X[rows] if isinstance(X, EncodedDocuments) else [X[row] for row in rows]
        return float(super().score(known, labels.values, sample_weight))

    def predict(self, X: Iterable[str] | EncodedDocuments) -> np.ndarray:
        """Predict the class of every text.

        Parameters
        ----------
        X : iterable of str, or EncodedDocuments
            The texts.

        Returns
        -------
        ndarray of shape (n_texts,) or (n_texts, n_outputs)
            Classes, or an indicator matrix of the labels with a probability above one half.
        """
        trained, question = self._read(X)
        p = np.exp(trained.log_probabilities(*question))
        if trained.multilabel:
            return (p > 0.5).astype(np.int64)
        return trained.classes[p.argmax(axis=1)]

    def _read(
        self, X: Iterable[str] | EncodedDocuments
    ) -> tuple[TrainedClassifier, tuple[TokenLists, torch.device, int]]:
        """What is asked, and what it is asked about.

        One model answers from begin to end, whatever becomes of the estimator meanwhile.
        """
        check_is_fitted(self)
        trained = self.trained_
        tokens = self._tokens(texts_or_documents(X), trained)
        return trained, (tokens, resolve_device(self.device), self.bptt)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _to_saved(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        check_is_fitted(self)
        description, arrays = self.trained_.to_parts()
        return {"classifier": description, "history": self.history_}, arrays

    def _restore(self, description: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        trained = TrainedClassifier.from_parts(description["classifier"], arrays)
        language_model = ULMFiTLanguageModel.from_trained(trained.language_model)
        self._set_fitted(trained, language_model, description["history"])
