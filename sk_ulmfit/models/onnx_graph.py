"""The network of one direction as an ONNX graph that reads a chunk of text.

What is carried from chunk to chunk (the state of the LSTM layers, the pools so far) is one row for
each document, an input and an output: documents of any length need no loop in the graph, and leave
where they end.

In int8 nothing is scaled by what happens to stand in a batch, as dynamic quantisation would: one
document has one answer. Two units are added to every layer, of which one always puts out 1 and the
other -1, and two columns to the embedding, which hold its smallest and its largest value: so the
range that onnxruntime finds is always the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..modules import POOLINGS
from ..modules.awd_lstm import EncoderSizes
from ..modules.classifier import SOLVED_STEP
from ..modules.pooling import pools_every_layer
from .networks import Weights

OPSET, IR_VERSION = 17, 8
_OF_ONNXRUNTIME = "com.microsoft"

# Largest weight in int8. AVX2 adds pairs of products up in 16 bits, and 2 * 255 * 127 overflows.
_LARGEST = 63

# Bias at which a gate is open.
_OPEN = 30.0

# What torch's batch normalisation adds to a variance.
_EPS = 1e-5

# Where ONNX has the gates that torch has as input, forget, cell, output.
_GATES = (0, 3, 1, 2)


class Block(NamedTuple):
    """A layer of the head: what its inputs are multiplied by, what is added, then a product."""

    scale: np.ndarray  # (n_in,)
    shift: np.ndarray  # (n_in,)
    weight: np.ndarray  # (n_out, n_in)
    bias: np.ndarray  # (n_out,)
    of_meaning: np.ndarray | None = None  # (n_out, n_meaning), of a vector of length 1

    def of_columns(self, columns: np.ndarray, factors: np.ndarray, size: int) -> Block:
        """The same layer for wider inputs, of which some columns times factors are its own."""
        scale, shift = np.zeros((2, size), np.float32)
        scale[columns], shift[columns] = self.scale * factors, self.shift
        weight = np.zeros((len(self.weight), size), np.float32)
        weight[:, columns] = self.weight
        return self._replace(scale=scale, shift=shift, weight=weight)

    def add_to(self, graph: _Graph, inputs: str) -> str:
        """The layer's outputs, but for what a meaning adds."""
        scaled = graph.add("Mul", inputs, graph.constant(self.scale))
        shifted = graph.add("Add", scaled, graph.constant(self.shift))
        product = (graph.constant(self.weight), graph.constant(self.bias))
        return graph.add("Gemm", shifted, *product, transB=1)


def head_blocks(weights: Weights) -> list[Block]:
    """The head of a `TextClassifier` of its state dict."""
    blocks: list[Block] = []
    while f"head.blocks.{len(blocks)}.weight" in weights:
        prefix = f"head.blocks.{len(blocks)}."
        norm = {
            name: weights[f"{prefix}norm.{name}"].astype(np.float64)
            for name in ("weight", "bias", "running_mean", "running_var")
        }
        scale = norm["weight"] / np.sqrt(norm["running_var"] + _EPS)
        shift = norm["bias"] - norm["running_mean"] * scale
        weight, of_meaning = np.split(weights[f"{prefix}weight"], [len(scale)], axis=1)
        blocks.append(
            Block(
                scale.astype(np.float32),
                shift.astype(np.float32),
                weight,
                weights[f"{prefix}bias"],
                of_meaning * np.float32(SOLVED_STEP),
            )
        )
    return blocks


def side_by_side(*blocks: Block) -> Block:
    """One block with the outputs of several, of the same inputs."""
    size = len(blocks[0].scale)
    return Block(
        np.ones(size, np.float32),
        np.zeros(size, np.float32),
        np.vstack([block.weight * block.scale for block in blocks]),
        np.concatenate([block.bias + block.weight @ block.shift for block in blocks]),
    )


def network_graph(
    weights: Weights,
    sizes: EncoderSizes,
    token_weights: np.ndarray,
    pooling: str,
    head: Sequence[Block],
    *,
    int8: bool,
) -> tuple[bytes, np.ndarray]:
    """Make the graph of an encoder, pooling and head.

    Parameters
    ----------
    weights : dict of str to ndarray
        Those of the encoder, named as in `TextClassifier`.
    sizes : EncoderSizes
    token_weights : ndarray of shape (vocabulary,)
        In the weighted mean.
    pooling : str
    head : sequence of Block
        Empty: the graph gives pooled vectors.
    int8 : bool
        Round the encoder's weights to 8 bits.

    Returns
    -------
    graph : bytes
        Inputs: ``ids`` of shape (time, batch), int32; ``remain`` of shape (batch,), int32, how many
        tokens of every document are left, at least 1; ``state``. Outputs: ``answer``, of the
        documents up to here (without what a head adds for their meaning); ``state_out``.
    start : ndarray of shape (state size,), float32
        State of a document before its first token.
    """
    graph = _Graph()
    encoder = _Int8Encoder(weights, sizes) if int8 else _Encoder(weights, sizes)
    pools = _Pools(pooling, encoder.widths)
    start = np.concatenate([*encoder.start, *pools.start])
    widths = [len(part) for part in (*encoder.start, *pools.start)]
    cuts = graph.constant(widths, np.int64)
    parts = graph.add_several("Split", "state", cuts, n_outputs=len(widths), axis=1)
    n_states = len(encoder.start)

    steps = graph.add("Gather", graph.add("Shape", "ids"), graph.constant(0, np.int64))
    limit = graph.add("Cast", steps, to=_TYPES["int32"])
    valid = graph.add("Min", "remain", limit)
    outputs, states = encoder.add_to(graph, valid, parts[:n_states])
    zero, one = (graph.constant(n, np.int64) for n in (0, 1))
    step = graph.add("Cast", graph.add("Range", zero, steps, one), to=_TYPES["int32"])
    column = graph.add("Unsqueeze", step, graph.axes(1))
    within = graph.add("Unsqueeze", graph.add("Less", column, valid), graph.axes(2))
    pooled, vectors = pools.add_to(
        graph, outputs, states[-2], within, token_weights, parts[n_states:]
    )
    if encoder.factors is not None:
        columns, factors = pools.columns(encoder.factors)
        if head:
            head = [head[0].of_columns(columns, factors, pools.size), *head[1:]]
        else:
            vectors = graph.add("Gather", vectors, graph.constant(columns, np.int64), axis=1)
            vectors = graph.add("Mul", vectors, graph.constant(factors))
    for n, block in enumerate(head):
        vectors = block.add_to(graph, graph.add("Relu", vectors) if n else vectors)
    graph.add("Identity", vectors, output="answer")
    graph.add("Concat", *states, *pooled, output="state_out", axis=1)
    return graph.finished(len(start)), start.astype(np.float32)


_TYPES = {"float32": 1, "int8": 3, "int32": 6, "int64": 7}  # of ONNX


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(value, dtype, order="C"), name))
        return name

    def axes(self, *axes: int) -> str:
        return self.constant(axes, np.int64)

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output; gives the output's name."""
        return self._add(kind, inputs, [output or f"value{len(self._nodes)}"], attributes)[0]

    def add_several(self, kind: str, *inputs: str, n_outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs; gives their names."""
        names = [f"value{len(self._nodes)}.{n}" for n in range(n_outputs)]
        return self._add(kind, inputs, names, attributes)

    def _add(
        self, kind: str, inputs: Sequence[str], outputs: list[str], attributes: dict[str, Any]
    ) -> list[str]:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs

    def finished(self, state_size: int) -> bytes:
        from onnx import helper

        def described(name: str, kind: str, *shape: Any) -> Any:
            return helper.make_tensor_value_info(name, _TYPES[kind], shape)

        graph = helper.make_graph(
            self._nodes,
            "sk_ulmfit",
            [
                described("ids", "int32", "time", "batch"),
                described("remain", "int32", "batch"),
                described("state", "float32", "batch", state_size),
            ],
            [
                described("answer", "float32", "batch", "size"),
                described("state_out", "float32", "batch", state_size),
            ],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_OF_ONNXRUNTIME, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        content: bytes = model.SerializeToString()
        return content


class _Encoder:
    """Embedding and LSTM layers.

    Attributes
    ----------
    widths : list of int
        Of the outputs of the embedding and of every layer.
    factors : list of ndarray or None
        If there are other columns behind those that count in each output: what these are to be
        multiplied by.
    start : list of ndarray
        Output and cell of every layer before the first token.
    """

    factors: list[np.ndarray] | None = None

    def __init__(self, weights: Weights, sizes: EncoderSizes):
        self.widths = sizes.widths
        self._embedding = weights["encoder.embedding"]
        self._layers = [
            {
                name: weights[f"encoder.layers.{n}.{name}"]
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
            for n in range(sizes.n_layers)
        ]
        self.start = [np.zeros(width, np.float32) for width in self.widths[1:] for _ in range(2)]

    def add_to(
        self, graph: _Graph, valid: str, states: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Outputs of the embedding and of every layer, (time, batch, width), and new states."""
        x = self._embedded(graph)
        outputs, new_states = [x], []
        for n, layer in enumerate(self._layers):
            before = [graph.add("Unsqueeze", name, graph.axes(0)) for name in states[2 * n :][:2]]
            kind, first, last, attributes = self._layer(graph, layer)
            y, h, c = graph.add_several(
                kind,
                *(x, *first, valid, *before, "", *last),
                n_outputs=3,
                hidden_size=self.widths[n + 1],
                **attributes,
            )
            x = graph.add("Squeeze", y, graph.axes(1))
            outputs.append(x)
            new_states += [graph.add("Squeeze", name, graph.axes(0)) for name in (h, c)]
        return outputs, new_states

    def _embedded(self, graph: _Graph) -> str:
        return graph.add("Gather", graph.constant(self._embedding), "ids")

    def _layer(
        self, graph: _Graph, layer: Weights
    ) -> tuple[str, list[str], list[str], dict[str, Any]]:
        """Kind of the node, its weights, those behind the state, its attributes."""
        products = [
            graph.constant(_gates(layer[name])[np.newaxis]) for name in ("weight_ih", "weight_hh")
        ]
        return "LSTM", [*products, graph.constant(_biases(layer))], [], {}


class _Int8Encoder(_Encoder):
    """The same with weights of 8 bits."""

    def __init__(self, weights: Weights, sizes: EncoderSizes):
        super().__init__(weights, sizes)
        # Columns of the embedding are brought to one size, and those that read them to the other.
        largest = np.abs(self._embedding).max(axis=0) + 1e-12
        first = self._layers[0]
        self._layers[0] = {**first, "weight_ih": first["weight_ih"] * largest}
        scaled = np.rint(self._embedding / largest * 127)
        pinned = np.broadcast_to(np.array([-128, 127]), (len(scaled), 2))
        self._embedding = np.hstack([scaled, pinned]).astype(np.int8)
        for n, layer in enumerate(self._layers):
            self._layers[n] = _with_pinned_units(layer)
        self.factors = [largest, *(np.ones(width) for width in self.widths[1:])]
        self.widths = [width + 2 for width in self.widths]
        ends = np.array([-1.0, 1.0], np.float32)
        self.start = [
            np.concatenate([part, ends * (1 if n % 2 == 0 else _OPEN)])
            for n, part in enumerate(self.start)
        ]

    def _embedded(self, graph: _Graph) -> str:
        rows = graph.add("Gather", graph.constant(self._embedding, np.int8), "ids")
        zero = graph.constant(0, np.int8)
        return graph.add("DequantizeLinear", rows, graph.constant(1 / 127), zero)

    def _layer(
        self, graph: _Graph, layer: Weights
    ) -> tuple[str, list[str], list[str], dict[str, Any]]:
        first, last = [], []
        for name in ("weight_ih", "weight_hh"):
            matrix = _gates(layer[name]).T  # (in, 4 * hidden)
            scale = np.abs(matrix).max(axis=0) / _LARGEST
            scale[scale == 0] = 1.0
            first.append(graph.constant(np.rint(matrix / scale)[np.newaxis], np.int8))
            last += [
                graph.constant(scale[np.newaxis]),
                graph.constant(np.zeros((1, len(scale))), np.int8),
            ]
        first.append(graph.constant(_biases(layer)))
        return "DynamicQuantizeLSTM", first, last, {"domain": _OF_ONNXRUNTIME}


def _with_pinned_units(layer: Weights) -> Weights:
    """Add a unit that always puts out -1 and one of 1, and inputs for two such units."""
    hidden = layer["weight_hh"].shape[1]
    larger: Weights = {}
    for name, array in layer.items():
        gates = array.reshape(4, hidden, *array.shape[1:])
        padded = np.pad(gates, [(0, 0), *[(0, 2)] * (gates.ndim - 1)])
        larger[name] = padded.reshape(4 * (hidden + 2), *padded.shape[2:])
    bias = larger["bias_ih"].reshape(4, hidden + 2)
    bias[:, -2:] = _OPEN
    bias[2, -2] = -_OPEN  # the cell's input
    return larger


def _gates(array: np.ndarray) -> np.ndarray:
    """Gates of shape (4 * hidden, ...) in the order of ONNX."""
    return np.concatenate([np.split(array, 4)[n] for n in _GATES])


def _biases(layer: Weights) -> np.ndarray:
    return np.concatenate([_gates(layer["bias_ih"]), _gates(layer["bias_hh"])])[np.newaxis]


class _Pools:
    """What is kept of the outputs of all documents so far."""

    def __init__(self, pooling: str, widths: Sequence[int]):
        self._names = POOLINGS[pooling]
        self._every_layer = pools_every_layer(pooling)
        self._widths = list(widths) if self._every_layer else list(widths[-1:])
        width = sum(self._widths)
        zeros, one = np.zeros(width, np.float32), np.zeros(1, np.float32)
        kept = {
            "last": [],
            "max": [np.full(width, -np.inf, np.float32)],
            "mean": [zeros, one],
            "weighted": [zeros, one],
        }
        self.start = [part for name in self._names for part in kept[name]]
        self.size = len(self._names) * width

    def columns(self, factors: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Which columns of the pooled vector count, and what they are to be multiplied by.

        Parameters
        ----------
        factors : sequence of ndarray
            Of those columns of each output that count, which are the first ones.
        """
        factors = factors[-len(self._widths) :]
        *begins, width = np.cumsum([0, *self._widths])
        columns = [
            begin + np.arange(len(part)) for begin, part in zip(begins, factors, strict=True)
        ]
        found = [n * width + np.concatenate(columns) for n in range(len(self._names))]
        return np.concatenate(found), np.tile(np.concatenate(factors), len(self._names))

    def add_to(
        self,
        graph: _Graph,
        outputs: Sequence[str],
        last: str,
        within: str,
        token_weights: np.ndarray,
        pools: Sequence[str],
    ) -> tuple[list[str], str]:
        """New pools, and the vectors that they make."""
        hidden = outputs[-1]
        if self._every_layer:
            hidden = graph.add("Concat", *outputs, axis=2)
        left = list(pools)
        new: list[str] = []
        parts = []
        for name in self._names:
            if name == "last":
                parts.append(last)
            elif name == "max":
                below = graph.constant(-np.inf)
                read = graph.add("Where", within, hidden, below)
                highest = graph.add("ReduceMax", read, axes=[0], keepdims=0)
                new.append(graph.add("Max", left.pop(0), highest))
                parts.append(new[-1])
            else:
                weights = graph.add("Cast", within, to=_TYPES["float32"])
                if name == "weighted":
                    table = graph.constant(token_weights[:, np.newaxis])
                    weights = graph.add("Mul", weights, graph.add("Gather", table, "ids"))
                for value in (graph.add("Mul", hidden, weights), weights):
                    added = graph.add("ReduceSum", value, graph.axes(0), keepdims=0)
                    new.append(graph.add("Add", left.pop(0), added))
                parts.append(graph.add("Div", *new[-2:]))
        return new, graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
