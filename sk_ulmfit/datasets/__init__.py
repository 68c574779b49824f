"""Labelled texts to try things on, loaded as scikit-learn loads its data sets."""

from ._banking77 import load_banking77

__all__ = ["load_banking77"]
