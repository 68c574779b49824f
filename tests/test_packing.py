"""Weights as bytes and halves of bytes."""

from __future__ import annotations

import numpy as np
import pytest

from sk_ulmfit.packing import packed, unpacked


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    scale = np.geomspace(1e-2, 1e2, 50)[:, None]
    return {
        "map": (scale * rng.standard_normal((50, 16))).astype("f4"),
        "words": (scale * rng.standard_normal((50, 16))).astype("f4"),
        "odd": (scale * rng.standard_normal((50, 15))).astype("f4"),
        "offset": rng.standard_normal(16).astype("f4"),
    }


def test_every_number_is_within_half_a_step_of_its_row(arrays):
    small = packed(arrays, in_halves=["words", "odd"])
    full = unpacked(small)
    assert full.keys() == arrays.keys()
    for name, n_steps in {"map": 126, "words": 7, "odd": 126}.items():
        highest = np.abs(arrays[name]).max(axis=1, keepdims=True)
        assert full[name].dtype == np.float32
        assert (np.abs(full[name] - arrays[name]) <= 0.502 * highest / n_steps).all(), name
    np.testing.assert_allclose(full["offset"], arrays["offset"], rtol=1e-3)


def test_a_number_takes_a_byte_or_half_of_one(arrays):
    small = packed(arrays, in_halves=["words", "odd"])
    assert {name: small[name].nbytes for name in ("map", "words", "odd")} == {
        "map": 50 * 16,
        "words": 50 * 8,
        "odd": 50 * 15,
    }


def test_the_highest_and_the_lowest_number_and_rows_of_zeros_come_back():
    words = np.array([[7.0, -7.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    for in_halves in ([], ["words"]):
        full = unpacked(packed({"words": words}, in_halves))
        np.testing.assert_allclose(full["words"], words, atol=0.02)


def test_what_was_not_packed_stays(arrays):
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    for name, array in unpacked(halves).items():
        assert array is halves[name]


@pytest.mark.parametrize("in_halves", [[], ["words"]])
def test_no_rows_at_all(in_halves):
    full = unpacked(packed({"words": np.zeros((0, 4), np.float32)}, in_halves))
    assert full["words"].shape == (0, 4)
