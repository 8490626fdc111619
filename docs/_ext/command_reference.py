"""Directives for the pages of the reference that are made from the tables of the program; see `reference_pages`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from tools import reference_pages

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_NAMES: Final = ("settings", "general_flags", "commands", "meanings")


class Generated(SphinxDirective):
    """Parses the Markdown of the function of its name, called with its arguments."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return what was parsed."""
        container = nodes.Element()
        lines = getattr(reference_pages, self.name)(*self.arguments)
        self.state.nested_parse(StringList(lines, "generated"), self.content_offset, container, match_titles=True)
        return list(container.children)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    for name in _NAMES:
        app.add_directive(name, Generated)
    return {"parallel_read_safe": True}
