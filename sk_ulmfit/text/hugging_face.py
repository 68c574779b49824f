"""Tokenizers whose work is done by Hugging Face's `tokenizers`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .alignment import Span
from .base import Tokenizer

if TYPE_CHECKING:
    import tokenizers
    from tokenizers.models import Model
    from tokenizers.pre_tokenizers import PreTokenizer


class HuggingFaceTokenizer(Tokenizer):
    """Base of tokenizers that are a `tokenizers.Tokenizer` inside.

    That object is made when it is first needed, and never copied or pickled: its state is the
    vocabulary, and what a subclass keeps beside it.

    Parameters
    ----------
    vocab : Vocabulary, default=None
        None before `fit`.
    """

    _backend: tokenizers.Tokenizer

    @staticmethod
    @abstractmethod
    def _pre_tokenizer() -> PreTokenizer:
        """What cuts texts into words."""

    @abstractmethod
    def _model(self) -> Model:
        """What turns words into ids."""

    def _make_backend(self) -> tokenizers.Tokenizer:
        from tokenizers import Tokenizer as Backend

        backend = Backend(self._model())
        backend.pre_tokenizer = self._pre_tokenizer()
        return backend

    def _split(self, piece: str) -> list[str]:
        return [word for word, _ in self._pre_tokenizer().pre_tokenize_str(piece)]

    def _made_backend(self) -> tokenizers.Tokenizer:
        if not hasattr(self, "_backend"):
            self._backend = self._make_backend()
        return self._backend

    def _lookup(self, pieces: list[str]) -> Iterable[list[int]]:
        return (encoding.ids for encoding in self._made_backend().encode_batch_fast(pieces))

    def _places(self, piece: str) -> list[Span | None]:
        return list(self._made_backend().encode(piece).offsets)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_backend"}
