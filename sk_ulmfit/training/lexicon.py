"""Stage 1, third part: what words mean that the vocabulary lacks, from a teacher's vectors of them.

A vocabulary has to be small, as every word in it costs a language model time; a vector of what a
word means costs next to nothing. Words are too many, and most too rare, for texts to tell what they
mean; a teacher that knows pieces of words can be asked for each alone. What its vectors of known
words are to the vectors that were learned of these is a linear map, as between the embeddings of
two languages (Mikolov, Le & Sutskever 2013), and the other words are mapped by it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn.linear_model import Ridge

from ..models import TrainedLanguageModel
from ..models.sentences import SentenceVectors
from ..text.bag_of_words import unit_rows
from ..text.rules import SPECIAL_TOKENS

# Strength of the ridge regression, of vectors of length 1.
_ALPHA = 3.0

# Known words that a map can be learned from, at least.
_FEWEST = 10


def with_words(
    trained: TrainedLanguageModel, words: Sequence[str], targets: np.ndarray
) -> TrainedLanguageModel:
    """Add words to the lexicon of a model that has learned what texts mean.

    Parameters
    ----------
    trained : TrainedLanguageModel
    words : sequence of str
        Known ones among them. What the tokenizer never makes of a text is left out.
    targets : ndarray of shape (n_words, n_dims)
        The teacher's vectors of them.

    Returns
    -------
    TrainedLanguageModel

    Raises
    ------
    ValueError
        If the model has learned nothing of texts, or too few of the words are known to it.
    """
    tokenizer, sentences = trained.tokenizer, trained.sentences
    if sentences is None or not sentences.size:
        raise ValueError("The model has not learned what texts mean: call fit_sentences first.")
    known, marks = tokenizer.words, frozenset(SPECIAL_TOKENS)
    ids = np.array(
        [known.id(word) if word in known and word not in marks else -1 for word in words]
    )
    taught = np.flatnonzero(ids >= 0)
    if len(taught) < _FEWEST:
        raise ValueError(
            f"Only {len(taught)} of the {len(words)} words are in the vocabulary. Give its words "
            "with their vectors too: from these is learned how the teacher's vectors are to be "
            "taken."
        )
    places = {word: i for i, word in enumerate(words) if word not in known}
    read = tokenizer.with_lexicon([*tokenizer.lexicon, *places]).documents(places)
    found = read.words[read.offsets[1:] - 1] == len(known) + np.arange(len(places))
    met = found & (read.lengths == 2)  # (behind xxbos)
    new = {word: i for (word, i), is_met in zip(places.items(), met, strict=True) if is_met}
    vectors, weights = (sentences.arrays[name] for name in ("words", "weights"))
    mean = vectors.mean(axis=0, dtype=np.float32)
    own = vectors[ids[taught]] - mean
    of_teacher = Ridge(alpha=_ALPHA).fit(targets[taught].astype(np.float32), own)
    mapped = of_teacher.predict(targets[list(new.values())].astype(np.float32)) if new else own[:0]
    # A regression's answers are too short.
    mapped = mean + np.linalg.norm(own, axis=1).mean() * unit_rows(mapped)
    arrays = {
        **sentences.arrays,
        "words": np.concatenate([vectors, mapped.astype(vectors.dtype)]),
        "weights": np.append(weights, np.full(len(new), sentences.rare_weight, weights.dtype)),
    }
    return replace(
        trained,
        tokenizer=tokenizer.with_lexicon([*tokenizer.lexicon, *new]),
        sentences=SentenceVectors(arrays),
    )
