"""Which names the API reference lists, and what single backticks in a docstring mean."""

from __future__ import annotations

import inspect
from typing import Any

from docutils import nodes
from sphinx.ext.autosummary import (
    ImportExceptionGroup,
    get_import_prefixes_from_env,
    import_by_name,
)
from sphinx.util.docutils import SphinxRole


class Name(SphinxRole):
    """A link if it is the name of something in the package, else code.

    numpydoc has single backticks for names to link to and for parameters.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Make the nodes of one use of the role."""
        code = nodes.literal(self.rawtext, self.text)
        prefixes = [
            prefix
            for prefix in get_import_prefixes_from_env(self.env)
            if prefix is None or not self.text.startswith(f"{prefix}.")
        ]
        try:
            _, thing, _, _ = import_by_name(self.text, prefixes)
        except ImportExceptionGroup:
            return [code], []
        if inspect.ismodule(thing):  # the parameter `pretrained`, not the module
            return [code], []
        link = self.env.domains.python_domain.role("obj")
        return link("obj", self.rawtext, self.text, self.lineno, self.inliner, {}, [])


def skip_foreign(app: Any, kind: str, name: str, thing: Any, skip: bool, options: Any) -> Any:
    """Leave out methods that a class has from scikit-learn or skorch: they are described there."""
    function = inspect.unwrap(getattr(thing, "__func__", thing))
    home = getattr(function, "__module__", None) or "sk_ulmfit"
    return None if home.startswith("sk_ulmfit") else True


def setup(app: Any) -> dict[str, bool]:
    """Add both to Sphinx."""
    app.setup_extension("sphinx.ext.autosummary")
    app.add_role("name", Name())
    app.connect("autodoc-skip-member", skip_foreign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
