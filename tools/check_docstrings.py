"""Check the docstrings of the public names against numpydoc's rules."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from types import FunctionType

from numpydoc.validate import validate

MODULES = [
    "sk_ulmfit",
    "sk_ulmfit.calibration",
    "sk_ulmfit.callbacks",
    "sk_ulmfit.datasets",
    "sk_ulmfit.explanation",
    "sk_ulmfit.export",
    "sk_ulmfit.persistence",
    "sk_ulmfit.plotting",
    "sk_ulmfit.pretrained",
    "sk_ulmfit.range_test",
    "sk_ulmfit.schedules",
    "sk_ulmfit.serving",
]

# Mistakes, not matters of taste: the codes are explained in numpydoc's manual, "Validation".
CHECKS = {
    "GL03": "blank lines",
    "GL05": "tabs",
    "GL06": "unknown section",
    "GL07": "order of sections",
    "GL08": "no docstring",
    "SS01": "no summary",
    "SS03": "summary without a period",
    "SS06": "summary of more than a line",
    "PR01": "undocumented parameter",
    "PR02": "unknown parameter",
    "PR03": "order of parameters",
    "PR04": "parameter without a type",
    "PR10": "no space before the colon",
    "YD01": "no Yields section",
}

# What every estimator has from scikit-learn, or every callback from skorch, is described there.
INHERITED_CONTRACT = ("on_", "set_", "get_metadata_routing")


def public_objects() -> Iterator[str]:
    """Full names of the public functions, classes and their own public methods."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            thing = getattr(module, name)
            if not (inspect.isclass(thing) or inspect.isfunction(thing)):
                continue
            full_name = f"{module_name}.{name}"
            yield full_name
            if inspect.isclass(thing):
                yield from (f"{full_name}.{method}" for method in own_methods(thing))


def own_methods(cls: type) -> list[str]:
    """Public methods that a class has from this package."""
    found = set()
    for base in cls.__mro__:
        if not base.__module__.startswith("sk_ulmfit"):
            continue
        for name, member in vars(base).items():
            is_method = isinstance(member, (FunctionType, classmethod, staticmethod))
            if is_method and not name.startswith(("_", *INHERITED_CONTRACT)):
                found.add(name)
    return sorted(found)


def main() -> None:
    """Print what is wrong, and fail if anything is."""
    names = list(public_objects())
    mistakes = [
        f"{name}: {code} {text}"
        for name in names
        for code, text in validate(name)["errors"]
        if code in CHECKS
    ]
    if mistakes:
        sys.exit("\n".join(mistakes))
    print(f"The docstrings of {len(names)} public names are in order.")


if __name__ == "__main__":
    main()
