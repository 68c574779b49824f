"""Answers of an exported model, by onnxruntime: without torch, skorch, scikit-learn and scipy.

`sk_ulmfit.export.export` writes the folder that `load` reads. A machine that only serves needs this
module with what it imports (the text rules and tokenizers, which are those of the estimators), and
onnxruntime, tokenizers and numpy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from .files import local_path, named_in_errors, read_json, sha256
from .packing import LEXICON, STEP, whole_numbers
from .text.bag_of_words import mean_vectors, tfidf, unit_rows
from .text.token_lists import TokenLists
from .text.tokenizers import Tokenizer, tokenizer_from_dict
from .text.validation import check_texts

__all__ = ["ServedClassifier", "ServedLanguageModel", "load"]

FORMAT = "sk_ulmfit.serving"
FORMAT_VERSION = 3
MANIFEST = "manifest.json"

# What names of networks of the linear model begin with, which stands beside others.
BESIDE = "beside-"

# And those that say what texts mean.
MEANING = "meaning-"

# Documents that are read side by side, and tokens of each that are computed at once: long enough
# for large matrix products, while what is computed in between stays in a few megabytes.
_ROWS, _CHUNK = 64, 32


class Network:
    """One direction of an exported network.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Of a graph that reads a chunk of text: from `ids` of shape (time, batch), the number of
        tokens that `remain` of each document, and a `state` row for each, to what it has to say of
        the documents so far (`answer`), and the next `state`.
    start : ndarray of shape (state size,)
        State before the first token.
    """

    def __init__(self, session: Any, start: np.ndarray):
        self._session = session
        self._start = start

    def read(self, documents: TokenLists) -> np.ndarray:
        """Answers to documents of falling length, shape (n, size), float32.

        They are read in chunks, whatever their length, and leave where they end.
        """
        lengths = documents.lengths
        ids = documents.padded(np.arange(len(documents)))
        state = np.repeat(self._start[np.newaxis], len(documents), axis=0)
        finished = []
        for begin in range(0, int(lengths[0]), _CHUNK):
            n = len(state)
            left = (lengths[:n] - begin).astype(np.int32)
            chunk = ids[:n, begin : begin + min(_CHUNK, int(left[0]))].T
            given = {"ids": chunk.astype(np.int32, order="C"), "remain": left, "state": state}
            n_left = int(np.count_nonzero(left > _CHUNK))
            # (of a last chunk nobody needs the state)
            answer, *rest = self._session.run(["answer", "state_out"][: 1 + (n_left > 0)], given)
            finished.append(answer[n_left:])
            state = rest[0][:n_left] if rest else state[:0]
        return np.concatenate(finished[::-1])


class _Served:
    """What served models share: a tokenizer, a network for each direction, arrays beside them."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        networks: dict[str, Network],
        arrays: dict[str, np.ndarray],
        manifest: dict[str, Any],
    ):
        self._tokenizer = tokenizer
        self._networks = networks
        self._arrays = arrays
        self._max_length = manifest["max_length"]

    def _encode(self, X: Iterable[str]) -> TokenLists:
        tokens = self._tokenizer.documents(check_texts(X))
        return tokens if self._max_length is None else tokens.head(self._max_length)

    def _answer(self, X: Iterable[str]) -> np.ndarray:
        """Read texts in batches of similar length, equal ones once."""
        documents = self._encode(X)
        distinct, inverse = documents.distinct()
        parts = (distinct[start : start + _ROWS] for start in range(0, len(distinct), _ROWS))
        return np.concatenate([self._batch(documents.take(part)) for part in parts])[inverse]

    def _batch(self, documents: TokenLists) -> np.ndarray:
        """Answers to documents of falling length."""
        raise NotImplementedError

    def _read(self, documents: TokenLists) -> dict[str, np.ndarray]:
        """What every network says, by its name, which ends with its direction."""
        return {
            name: network.read(documents.reversed() if name.endswith("backward") else documents)
            for name, network in self._networks.items()
        }

    def _meaning(self, documents: TokenLists, of_pools: list[np.ndarray]) -> np.ndarray:
        """Vectors of what documents mean, of length 1, by what the pools of directions add."""
        vectors = self._word_vectors(documents)
        for added in of_pools:
            vectors += added / np.float32(len(of_pools))
        return unit_rows(vectors)

    def _word_vectors(self, documents: TokenLists) -> np.ndarray:
        """What the words of documents say of their meaning."""
        words, weights, offset = (self._arrays[name] for name in ("words", "weights", "offset"))
        steps = self._arrays.get(f"words{STEP}")  # (of words in bytes)
        means = mean_vectors(documents, words, weights, steps)
        return np.asarray(means + offset, dtype=np.float32)

    def __repr__(self) -> str:
        directions = (name for name in self._networks if not name.startswith((BESIDE, MEANING)))
        return f"<{type(self).__name__}: {' and '.join(directions)}>"


class ServedClassifier(_Served):
    """A classifier that was exported. Threads may share it.

    Parameters
    ----------
    tokenizer : Tokenizer
    networks : dict of str to Network
        By direction.
    arrays : dict of str to ndarray
        What is computed beside the networks.
    manifest : dict
        What is told of the model.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    multilabel_ : bool
        Whether a text may have several labels.

    See Also
    --------
    load : Makes one.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        networks: dict[str, Network],
        arrays: dict[str, np.ndarray],
        manifest: dict[str, Any],
    ):
        super().__init__(tokenizer, networks, arrays, manifest)
        self.classes_ = arrays["classes"]
        self.multilabel_ = bool(manifest["multilabel"])
        self._temperature = float(manifest["temperature"])
        mixture = manifest.get("mixture")
        self._mixture = None if mixture is None else [np.float32(share) for share in mixture]

    def predict_proba(self, X: Iterable[str]) -> np.ndarray:
        """Probabilities of the classes, averaged over the directions of the language model.

        Parameters
        ----------
        X : iterable of str
            The texts.

        Returns
        -------
        ndarray of shape (n_texts, n_classes)
            Rows sum to 1; in a multilabel problem each entry is the probability of its label.

        Raises
        ------
        TypeError, ValueError
            If `X` is no collection of texts, as of the estimator.
        """
        return self._answer(X)

    def predict(self, X: Iterable[str]) -> np.ndarray:
        """Predict the class of every text.

        Parameters
        ----------
        X : iterable of str
            The texts.

        Returns
        -------
        ndarray of shape (n_texts,) or (n_texts, n_outputs)
            Classes, or an indicator matrix of the labels with a probability above one half.

        Raises
        ------
        TypeError, ValueError
            If `X` is no collection of texts, as of the estimator.
        """
        p = self._answer(X)
        if self.multilabel_:
            return (p > 0.5).astype(np.int64)
        return np.asarray(self.classes_[p.argmax(axis=1)])

    def _batch(self, documents: TokenLists) -> np.ndarray:
        found = self._read(documents)
        self._add_meaning(found, documents)
        for name in found:
            if f"words-{name}/ids" in self._arrays:
                found[name] = found[name] + self._of_words(name, documents)
        directions = [name for name in found if not name.startswith(BESIDE)]
        if self._mixture is not None:
            own, its = self._mixture
            for name in directions:
                found[name] = own * found[name] + its * found[BESIDE + name]
        return np.asarray(np.mean([self._probabilities(found[d]) for d in directions], axis=0))

    def _add_meaning(self, found: dict[str, np.ndarray], documents: TokenLists) -> None:
        """Add to logits what heads make of the documents' meaning, if they are given that.

        What the pools add to it is said by networks for that, or beside the logits of the others.
        """
        given = [name for name in found if f"of-meaning-{name}" in self._arrays]
        if not given:
            return
        n = len(self.classes_)
        of_pools = [found.pop(name) for name in [*found] if name.startswith(MEANING)]
        meaning = self._meaning(documents, of_pools or [found[name][:, n:] for name in given])
        for name in given:
            product = meaning @ self._arrays[f"of-meaning-{name}"]
            found[name] = found[name][:, :n] + product

    def _of_words(self, direction: str, documents: TokenLists) -> np.ndarray:
        """Logits of a linear model of the documents' words, by TF-IDF."""
        ids, idf, coef = (self._arrays[f"words-{direction}/{n}"] for n in ("ids", "idf", "coef"))
        return tfidf(documents, ids, idf).product(coef)

    def _probabilities(self, logits: np.ndarray) -> np.ndarray:
        scaled = logits.astype(np.float64) / self._temperature
        if self.multilabel_:
            return np.exp(-np.logaddexp(0.0, -scaled))
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


class ServedLanguageModel(_Served):
    """A language model that was exported, as a vectoriser. Threads may share it.

    Parameters
    ----------
    tokenizer : Tokenizer
    networks : dict of str to Network
        By direction.
    arrays : dict of str to ndarray
        What is computed beside the networks.
    manifest : dict
        What is told of the model.

    See Also
    --------
    load : Makes one.
    """

    def transform(self, X: Iterable[str]) -> np.ndarray:
        """Vectors of texts, those of the language model's `transform` with features as output.

        Parameters
        ----------
        X : iterable of str
            The texts.

        Returns
        -------
        ndarray of shape (n_texts, n_features), float32

        Raises
        ------
        TypeError, ValueError
            If `X` is no collection of texts, as of the estimator.
        """
        return self._answer(X)

    def _batch(self, documents: TokenLists) -> np.ndarray:
        pools, arrays = self._read(documents), self._arrays
        if "gain" not in arrays:
            return np.hstack(list(pools.values()))
        scaled = {
            name: (pooled - arrays[f"{name}.mean"]) / arrays[f"{name}.scale"]
            for name, pooled in pools.items()
        }
        vectors = []
        if "offset" in arrays:
            of_pools = [pooled @ arrays[f"{name}.map"] for name, pooled in scaled.items()]
            vectors.append(self._meaning(documents, of_pools))
        return np.asarray(arrays["gain"] * np.hstack([*vectors, *scaled.values()]))


_KINDS = {"classifier": ServedClassifier, "language_model": ServedLanguageModel}


def load(path: str | os.PathLike[str], *, n_threads: int = 1) -> Any:
    """Load a model that `sk_ulmfit.export.export` wrote.

    No code of the folder is run, and nothing outside of it is read.

    Parameters
    ----------
    path : str or path
        The folder.
    n_threads : int, default=1
        Threads that a matrix product is shared among. A short text is too little work for several:
        to use all cores start a process for each. With one, processes may be forked at any time.

    Returns
    -------
    ServedClassifier or ServedLanguageModel

    Raises
    ------
    FileNotFoundError
        If `path` holds no exported model.
    ImportError
        If onnxruntime is not installed.
    ValueError
        If its files are damaged, or come from a version of sk_ulmfit with another format, or if
        this onnxruntime cannot compute them.
    """
    folder = local_path(path)
    manifest, files = _read_folder(folder)
    with named_in_errors(folder):
        tokenizer = tokenizer_from_dict(json.loads(files["tokenizer.json"]))
        with np.load(BytesIO(files["arrays.npz"]), allow_pickle=False) as stored:
            arrays = _with_all_words({name: stored[name] for name in stored.files})
        networks = {}
        for direction in manifest["directions"]:
            session = _session(files[f"{direction}.onnx"], folder / f"{direction}.onnx", n_threads)
            networks[direction] = Network(session, arrays.pop(f"start-{direction}"))
        served = _KINDS[manifest["kind"]](tokenizer, networks, arrays, manifest)
        served._answer([""])  # what does not fit shows here, not with the first user's text
    return served


def _with_all_words(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put words of the lexicon, which take half a byte a number, behind those of the vocabulary."""
    if LEXICON in arrays:
        further = whole_numbers(arrays.pop(LEXICON)), arrays.pop(f"{LEXICON}{STEP}")
        for name, more in zip(("words", f"words{STEP}"), further, strict=True):
            arrays[name] = np.concatenate([arrays[name], more])
    return arrays


def _read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest, and the files that it names, which are what was written."""
    file = folder / MANIFEST
    if not file.is_file():
        raise FileNotFoundError(
            f"{folder} is not an exported model: there is no {MANIFEST}. sk_ulmfit.export.export "
            "writes such folders; what save() wrote is for sk_ulmfit.load."
        )
    try:
        manifest = read_json(file)
    except ValueError as error:
        raise ValueError(f"{error}: export the model again.") from error
    version = manifest.get("format_version")
    if manifest.get("format") != FORMAT or type(version) is not int or version < 1:
        raise ValueError(f"{file} does not describe an exported model of sk_ulmfit.")
    if version < FORMAT_VERSION:
        raise ValueError(f"{folder} was written by an older sk_ulmfit. Export the model again.")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{file} has format version {version}, this sk_ulmfit reads {FORMAT_VERSION}. "
            "Upgrade sk_ulmfit."
        )
    files = {}
    with named_in_errors(folder):
        for name, digest in manifest["sha256_of_files"].items():
            if Path(name).name != name:
                raise ValueError(f"{name!r} is not a file of the folder.")
            if not (folder / name).is_file():
                raise ValueError(f"there is no {name}. Export the model again.")
            files[name] = (folder / name).read_bytes()
            if sha256(files[name]) != digest:
                raise ValueError(
                    f"{name} is damaged, its checksum is not the one it was written with. Export "
                    "the model again."
                )
    return manifest, files


def _session(graph: bytes, file: Path, n_threads: int) -> Any:
    """An `onnxruntime.InferenceSession` of a graph."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "Serving needs onnxruntime: pip install sk-ulmfit[serve] (or onnxruntime)."
        ) from error
    # A graph may name files that its weights are in, anywhere: by this key alone.
    if b"location" in graph:
        raise ValueError(f"{file.name} refers to files beside it, which none of ours does.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is raised
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of onnxruntime, each of another class
        raise ValueError(
            f"onnxruntime {onnxruntime.__version__} cannot compute {file.name}, which may be from "
            f"a newer one: {error}"
        ) from error
