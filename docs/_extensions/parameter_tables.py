"""Tables of an estimator's parameters, made of its docstring, and links to each of them.

In a page ``parameters`` is a directive: the class's name, then the parameters' names. A row has a
link to the parameter's description, its default, and the first sentence of the description.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from docutils import nodes
from numpydoc.docscrape import NumpyDocString
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

import sk_ulmfit


def label_of(name: str, parameter: str) -> str:
    """What a parameter's description is linked to by."""
    return f"{name}-{parameter}".lower()


def first_sentence(lines: list[str]) -> str:
    """The start of a description, without its references."""
    text = " ".join(line.strip() for line in lines)
    text = text.replace("[1]_", "the paper")
    text = re.sub(r" \[\d\]_", "", text)
    return re.split(r"(?<=[\w)`\"])[.:](?:\s|$)", text, maxsplit=1)[0] + "."


class Parameters(SphinxDirective):
    """A table of some of a class's parameters."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        name = self.arguments[0]
        thing = getattr(sk_ulmfit, name)
        described = {
            parameter: entry.desc
            for entry in NumpyDocString(inspect.getdoc(thing))["Parameters"]
            for parameter in entry.name.split(", ")
        }
        defaults = inspect.signature(thing).parameters
        rows = [[nodes.Text("parameter")], [nodes.Text("default")], [nodes.Text("what it is")]]
        head = nodes.thead("", row_of(rows))
        body = nodes.tbody()
        for parameter in " ".join(self.content).split():
            link = addnodes.pending_xref(
                "",
                nodes.literal(text=parameter),
                refdomain="std",
                reftype="ref",
                reftarget=label_of(name, parameter),
                refexplicit=True,
                refwarn=True,
                refdoc=self.env.docname,
            )
            said, _ = self.state.inline_text(first_sentence(described[parameter]), self.lineno)
            default = nodes.literal(text=repr(defaults[parameter].default))
            body += row_of([[link], [default], said])
        columns = [nodes.colspec(colwidth=width) for width in (20, 20, 60)]
        return [nodes.table("", nodes.tgroup("", *columns, head, body, cols=3))]


def row_of(cells: list[list[nodes.Node]]) -> nodes.row:
    """A row of a table."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells))


def name_parameters(app: Any, doctree: nodes.document) -> None:
    """Let links lead to the parameters of the classes that a page describes."""
    for described in doctree.findall(addnodes.desc):
        if described["objtype"] != "class":
            continue
        signature, content = described[0], described[-1]
        for part in content.children:  # not those of methods
            if not isinstance(part, nodes.field_list):
                continue
            for term in part[0].findall(nodes.term):
                for parameter in term[0].astext().split(", "):
                    label = label_of(signature["fullname"], parameter)
                    term["ids"].append(label)
                    app.env.domains.standard_domain.note_hyperlink_target(
                        label, app.env.docname, label, parameter
                    )


def setup(app: Any) -> dict[str, bool]:
    """Add both to Sphinx."""
    app.add_directive("parameters", Parameters)
    app.connect("doctree-read", name_parameters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
