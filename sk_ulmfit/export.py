"""Fitted models as folders of ONNX graphs, which `sk_ulmfit.serving` answers from without torch.

Needs onnx: ``pip install sk-ulmfit[onnx]``.
"""

from __future__ import annotations

import json
import os
import shutil
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._version import __version__
from .classifier import ULMFiTClassifier
from .files import local_path, sha256, write_json
from .language_model import ULMFiTLanguageModel
from .models import TrainedClassifier, TrainedLanguageModel
from .models.networks import Weights
from .models.onnx_graph import OPSET, Block, head_blocks, network_graph, side_by_side
from .models.sentences import GAIN, POOLING, SentenceVectors, pools_of
from .packing import packed_words
from .serving import BESIDE, FORMAT, FORMAT_VERSION, MANIFEST, MEANING

__all__ = ["export"]


def export(
    estimator: ULMFiTClassifier | ULMFiTLanguageModel,
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
) -> None:
    """Write a fitted estimator as a folder that `sk_ulmfit.serving.load` reads.

    Parameters
    ----------
    estimator : ULMFiTClassifier or ULMFiTLanguageModel
        Fitted. A language model becomes a vectoriser: its `transform` gives what the estimator's
        does with ``output="features"``.
    path : str or path
        The folder. It is there when it is complete, and not before.
    precision : {"float32", "int8"}, default="float32"
        With "float32" the answers are those of the estimator but for rounding. With "int8" the
        weights of embedding and LSTM layers and the vectors of words have 8 bits, those of words
        beyond the vocabulary 4: the folder is about a third as large, and answers come faster.

    Raises
    ------
    FileExistsError
        If there is something at `path`.
    NotFittedError
        If the estimator is not fitted.
    ImportError
        If onnx is not installed.
    TypeError
        If `estimator` is something else.
    ValueError
        If the tokenizer is a function: a folder holds no code.

    See Also
    --------
    sk_ulmfit.serving.load : Answers from the folder.
    sk_ulmfit.load : Loads what an estimator's `save` wrote, to train on.
    """
    if not isinstance(estimator, (ULMFiTClassifier, ULMFiTLanguageModel)):
        raise TypeError(
            "Only a ULMFiTClassifier or a ULMFiTLanguageModel can be exported, got a "
            f"{type(estimator).__name__}. Of a pipeline of the two pass the last step, pipe[-1], "
            "which holds its language model and takes texts; of a search its best_estimator_."
        )
    if precision not in ("float32", "int8"):
        raise ValueError(f"precision must be 'float32' or 'int8', got {precision!r}.")
    check_is_fitted(estimator)
    _check_onnx()
    folder = local_path(path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists already. Choose a path that is free.")
    trained: Any = estimator.trained_
    int8 = precision == "int8"
    described: dict[str, Any]
    if isinstance(trained, TrainedClassifier):
        tokenizer = trained.language_model.tokenizer
        graphs, arrays = _of_classifier(trained, int8)
        described = {
            "kind": "classifier",
            "multilabel": trained.multilabel,
            "temperature": trained.temperature,
            "mixture": None if trained.beside is None else trained.mixture,
            "pooling": trained.pools,
            "max_length": estimator.max_length,
        }
    else:
        tokenizer = trained.tokenizer
        graphs, arrays = _of_language_model(trained, estimator.pooling, int8)
        described = {"kind": "language_model", "pooling": estimator.pooling, "max_length": None}
    described |= {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sk_ulmfit": __version__,
        "opset": OPSET,
        "precision": precision,
        "directions": list(graphs),
    }
    files = {f"{direction}.onnx": graph for direction, graph in graphs.items()}
    files["tokenizer.json"] = json.dumps(tokenizer.to_dict()).encode("ascii")
    stored = BytesIO()
    for_keywords: dict[str, Any] = arrays
    np.savez(stored, **for_keywords)
    files["arrays.npz"] = stored.getvalue()
    _write(folder, described, files)


def _check_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ImportError("An export needs onnx: pip install sk-ulmfit[onnx] (or onnx).") from error


def _of_classifier(
    trained: TrainedClassifier, int8: bool
) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """Graphs by direction, and the arrays beside them."""
    graphs, arrays = _of_networks(trained, int8)
    if trained.beside is not None:
        its_graphs, its_arrays = _of_networks(trained.beside, int8, BESIDE)
        graphs, arrays = graphs | its_graphs, arrays | its_arrays
    return graphs, {**arrays, "classes": trained.classes}


def _of_networks(
    trained: TrainedClassifier, int8: bool, prefix: str = ""
) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """Those of one model, by names that begin with `prefix`."""
    language_model = trained.language_model
    heads = {direction: head_blocks(weights) for direction, weights in trained.weights.items()}
    coef = {}
    if trained.n_meaning:
        for direction, head in heads.items():
            (block,) = head  # of a solved head
            assert block.of_meaning is not None
            coef[f"of-meaning-{prefix}{direction}"] = np.ascontiguousarray(block.of_meaning.T)
            if trained.is_linear:
                # One reading says what goes into the meaning, and what the head makes of the rest.
                heads[direction] = [side_by_side(block, _of_pools(language_model, direction))]
    graphs, arrays = _graphs(
        language_model, trained.weights, trained.pools, heads, int8=int8, prefix=prefix
    )
    arrays |= coef
    if trained.n_meaning:
        arrays |= _of_words(language_model, int8)
        if not trained.is_linear:
            its_graphs, its_arrays = _of_meaning(language_model, int8)
            graphs, arrays = graphs | its_graphs, arrays | its_arrays
    for direction, term in trained.words.items():
        of_words = {"ids": term.ids, "idf": term.idf, "coef": np.ascontiguousarray(term.coef.T)}
        name_of = f"words-{prefix}{direction}"
        arrays |= {f"{name_of}/{name}": array for name, array in of_words.items()}
    return graphs, arrays


def _of_language_model(
    trained: TrainedLanguageModel, pooling: str, int8: bool
) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    reader = trained.reader if pooling == "sentences" else trained
    no_heads: dict[str, list[Block]] = {direction: [] for direction in reader.directions}
    graphs, arrays = _graphs(trained, reader.weights, pools_of(pooling), no_heads, int8=int8)
    if pooling == "sentences":
        sentences = trained.sentences or SentenceVectors.plain(trained.directions, trained.sizes)
        arrays |= _of_words(trained, int8) if sentences.size else {}
        for direction in trained.directions:
            mean, scale = sentences.pool_scales(direction)
            of_pools = {"mean": mean, "scale": scale * np.sqrt(np.float32(len(scale)))}
            if sentences.size:
                of_pools["map"] = sentences.arrays[f"{direction}.map"]
            arrays |= {f"{direction}.{name}": array for name, array in of_pools.items()}
        arrays["gain"] = np.asarray(GAIN)
    return graphs, arrays


def _of_meaning(
    trained: TrainedLanguageModel, int8: bool
) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """Those that say what pools add to vectors of what texts mean."""
    heads = {direction: [_of_pools(trained, direction)] for direction in trained.directions}
    weights = trained.reader.weights
    return _graphs(trained, weights, POOLING, heads, int8=int8, prefix=MEANING)


def _graphs(
    language_model: TrainedLanguageModel,
    weights: dict[str, Weights],
    pooling: str,
    heads: dict[str, list[Block]],
    *,
    int8: bool,
    prefix: str = "",
) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """A graph for the encoder and the head of every direction, and what its state begins with."""
    graphs, arrays = {}, {}
    for direction, own in weights.items():
        name = prefix + direction
        graphs[name], arrays[f"start-{name}"] = network_graph(
            own,
            language_model.sizes,
            language_model.token_weights(direction).numpy(),
            pooling,
            heads[direction],
            int8=int8,
        )
    return graphs, arrays


def _of_pools(trained: TrainedLanguageModel, direction: str) -> Block:
    """What the pools of a direction add to a text's vector."""
    sentences = trained.sentences
    assert sentences is not None
    mean, deviation = sentences.pool_scales(direction)
    scale = np.float32(1) / (deviation * np.sqrt(np.float32(len(deviation))))
    of_pools = sentences.arrays[f"{direction}.map"].T
    return Block(scale, -mean * scale, of_pools, np.zeros(sentences.size, np.float32))


def _of_words(trained: TrainedLanguageModel, int8: bool) -> dict[str, np.ndarray]:
    """Vectors of words, and how a text's is made of them."""
    assert trained.sentences is not None
    found = {name: trained.sentences.arrays[name] for name in ("words", "weights", "offset")}
    if int8:
        found |= packed_words(found.pop("words"), len(trained.tokenizer.lexicon))
    return found


def _write(folder: Path, described: dict[str, Any], files: dict[str, bytes]) -> None:
    """Write a folder under another name, and give it its own when it is complete."""
    temporary = folder.with_name(f".sk_ulmfit-{token_hex(16)}.new")
    temporary.mkdir(parents=True)
    try:
        digests = {}
        for name, content in files.items():
            (temporary / name).write_bytes(content)
            digests[name] = sha256(content)
        write_json(temporary / MANIFEST, {**described, "sha256_of_files": digests})
        if folder.exists():
            folder.rmdir()  # it is empty, and Windows renames to what is not there
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
