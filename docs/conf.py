"""How Sphinx builds the documentation: `make docs`. It needs no network."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before anything imports torch: the small networks of the gallery are no faster with more threads,
# and its figures come out the same everywhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "docs" / "_extensions"))

import sk_ulmfit  # noqa: E402

project = "sk_ulmfit"
author = "sk_ulmfit developers"
copyright = f"{author}, BSD 3-clause"
release = version = sk_ulmfit.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "parameter_tables",
    "public_names",
]
exclude_patterns = ["_build", "_extensions", "auto_examples/*.ipynb"]
templates_path = ["_templates"]

# --- What is written ---------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist"]
highlight_language = "none"  # of blocks that name no language
smartquotes = False  # or "gradual" would not be what one types
myst_heading_anchors = 4
default_role = "name"  # see _extensions/public_names.py
# Of a session the commands alone are copied: no output, no tracebacks.
copybutton_exclude = ".linenos"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

# --- What is generated of the code ---------------------------------------------------------------

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say it in words
autodoc_member_order = "bysource"
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template of a class lists them
numpydoc_validation_checks: set[str] = set()  # tools/check_docstrings.py has its own

# Every name that looks like a link has to lead somewhere.
nitpicky = True
nitpick_ignore_regex = [
    # Of other projects, whose inventories would have to be downloaded.
    (r"py:.*", r"(sklearn|skorch|torch|numpy|pathlib|collections|enum|abc)\..*"),
]

# --- The gallery ---------------------------------------------------------------------------------

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # demo_banking77.py and pretrain_english.py are for the command line.
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(^|/)(?!plot_)\w+\.py$",
    "backreferences_dir": "api/backreferences",
    "doc_module": ("sk_ulmfit",),
    "reference_url": {"sk_ulmfit": None},
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "min_reported_time": 1,
    "image_scrapers": ("matplotlib",),
}

# --- How it looks --------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = f"sk_ulmfit {release}"
html_static_path = ["_static"]
html_favicon = "_static/logo.svg"
html_css_files = ["sk_ulmfit.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {
        "text": html_title,
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
        "alt_text": "sk_ulmfit",
    },
    "navbar_end": ["theme-switcher"],
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "navigation_with_keys": False,
    "show_toc_level": 2,
}
# Pages that stand alone have nothing to show in the sidebar.
html_sidebars = {page: [] for page in ("index", "install", "results", "changelog", "citing")}
