"""A progress bar that is only a progress bar: where it cannot be shown, the work goes on."""

from __future__ import annotations

import io
import sys
import time
from typing import Any

from tqdm.auto import tqdm

# A full disk, a pipe that nobody reads, a closed stream, none at all.
_NOT_SHOWN = (OSError, ValueError, AttributeError)

# Seconds between two lines where there is no terminal: a log of an hour stays readable.
_BETWEEN_LINES = 10.0

# The bar itself says nothing in a line that is not drawn anew.
_BAR = " |{bar}|"

_IN_NOTEBOOK = any(cls.__name__ == "tqdm_notebook" for cls in tqdm.__mro__)


class Bar(tqdm):
    """The bar of tqdm, which closes itself where its output fails.

    Where that is no terminal, but a file or a pipe, it writes a line now and then, and a last one.
    """

    _lines: Any = None  # the stream that lines go to
    _last_line = float("-inf")

    def __init__(self, *args: Any, **options: Any):
        stream = options.get("file") or sys.stderr
        if not (_IN_NOTEBOOK or _is_terminal(stream)):
            self._lines, self._last_line = stream, time.monotonic()
            form = options.get(
                "bar_format", "{desc}: {n_fmt}/{total_fmt} {unit}, {elapsed}, {rate_fmt}{postfix}"
            )
            # What tqdm writes to draw a bar in its place goes nowhere.
            options |= {"file": io.StringIO(), "bar_format": form.replace(_BAR, "")}
        try:
            super().__init__(*args, **options)
        except _NOT_SHOWN:
            super().__init__(*args, **{**options, "disable": True})

    def display(self, *args: Any, **options: Any) -> Any:
        """Draw the bar."""
        try:
            if self._lines is None:
                return super().display(*args, **options)
            if time.monotonic() - self._last_line >= _BETWEEN_LINES:
                self._write_line()
        except _NOT_SHOWN:
            self.disable = True

    def _write_line(self) -> None:
        self._last_line = time.monotonic()
        self._lines.write(f"{self}\n")
        self._lines.flush()

    def close(self) -> None:
        """Leave the bar as it stands."""
        try:
            if self._lines is not None and not self.disable:
                self._write_line()
            super().close()
        except _NOT_SHOWN:
            self.disable = True


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except _NOT_SHOWN:
        return False
