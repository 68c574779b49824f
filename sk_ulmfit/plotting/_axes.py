"""What all figures share: colours, and where axes and legends go."""

from __future__ import annotations

from typing import Any

# Colour, line style and marker of the first curve, the second, ... The colours are told apart by
# the colour-blind too (Okabe and Ito 2008), and where they are not, styles and markers are.
STYLES = [
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#CC79A7", ":", "D"),
    ("#000000", (0, (5, 1, 1, 1, 1, 1)), "v"),
    ("#E69F00", (0, (8, 2)), "P"),
    ("#56B4E9", (0, (3, 1, 1, 1)), "X"),
]


def style(number: int) -> dict[str, Any]:
    """Keywords of `Axes.plot` for a curve; there are seven kinds of curves."""
    colour, line, marker = STYLES[number % len(STYLES)]
    return {"color": colour, "linestyle": line, "marker": marker, "markersize": 5}


def axes_for(ax: Any) -> Any:
    """The axes to draw in: those given, or those of a new figure."""
    return import_pyplot().subplots(layout="constrained")[1] if ax is None else ax


def import_pyplot() -> Any:
    """Import matplotlib's pyplot.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "Figures need matplotlib: pip install sk-ulmfit[plot] (or matplotlib itself)."
        ) from error
    return pyplot


def add_legend(ax: Any, title: str | None = None) -> None:
    """Put a legend beside the axes, or, where nothing would make room there, inside."""
    if ax.figure.get_layout_engine() is None:
        ax.legend(title=title, loc="best", fontsize="small", title_fontsize="small")
        return
    ax.legend(
        title=title,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
        frameon=False,
        fontsize="small",
        title_fontsize="small",
        handlelength=3.0,  # long enough for the line styles
        alignment="left",
    )
