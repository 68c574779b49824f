"""A progress bar that is only a progress bar: where it cannot be shown, the work goes on."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm

# A full disk, a pipe that nobody reads, a closed stream, none at all.
_NOT_SHOWN = (OSError, ValueError, AttributeError)


class Bar(tqdm):
    """The bar of tqdm, which closes itself where its output fails."""

    def __init__(self, *args: Any, **options: Any):
        try:
            super().__init__(*args, **options)
        except _NOT_SHOWN:
            super().__init__(*args, **{**options, "disable": True})

    def display(self, *args: Any, **options: Any) -> Any:
        """Draw the bar."""
        try:
            return super().display(*args, **options)
        except _NOT_SHOWN:
            self.disable = True

    def close(self) -> None:
        """Leave the bar as it stands."""
        try:
            super().close()
        except _NOT_SHOWN:
            self.disable = True
