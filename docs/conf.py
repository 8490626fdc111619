"""Settings of Sphinx for this site; build it with ``sphinx-build -W -b html docs docs/_build``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from collgs_async import __version__  # noqa: E402 - found by the path above

project = "collgs-async"
author = "The collgs-async authors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "command_reference"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"collgs-async {release}"
html_show_sphinx = False
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = False

napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
default_role = "py:obj"  # names in docstrings become links where they are public
python_use_unqualified_type_names = True
suppress_warnings = ["ref.python"]  # `bytes` is a type and a field of two classes

# The hosted workflow follows all links; what only a live archive answers is left out.
linkcheck_ignore = [r"https://collgs\.lu/catalog.*", r"http://(localhost|127\.0\.0\.1).*"]
