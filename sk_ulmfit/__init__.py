"""ULMFiT (Howard and Ruder 2018) as scikit-learn estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._forks import watch_forks
from ._version import __version__

if TYPE_CHECKING:
    from .classifier import ULMFiTClassifier
    from .documents import EncodedDocuments
    from .explanation import explain
    from .language_model import ULMFiTLanguageModel
    from .persistence import load
    from .range_test import lr_find

__all__ = [
    "EncodedDocuments",
    "ULMFiTClassifier",
    "ULMFiTLanguageModel",
    "__version__",
    "explain",
    "load",
    "lr_find",
]

_HOMES = {
    "EncodedDocuments": "documents",
    "ULMFiTClassifier": "classifier",
    "ULMFiTLanguageModel": "language_model",
    "explain": "explanation",
    "load": "persistence",
    "lr_find": "range_test",
}


watch_forks()


def __getattr__(name: str) -> Any:
    # torch and skorch take seconds to import: they wait until an estimator is asked for.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
