"""Sphinx configuration: ``doc/build`` makes the site."""

import os
import sys
import warnings
from pathlib import Path

import matplotlib
from sphinx_gallery.sorting import ExplicitOrder

import sklearn_xmr

sys.path.insert(0, str(Path(__file__).parent))
matplotlib.use("Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

project = "sklearn_xmr"
author = "The sklearn_xmr developers"
copyright = f"2026, {author}"
version = release = sklearn_xmr.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx-mathjax-offline",  # a site in a closed network shows formulas too
    "numpydoc",
    "sphinx_design",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "auto_examples/*.ipynb", "auto_examples/*.md5"]
templates_path = ["_templates"]

# Docstrings: one page for each public name.
autosummary_generate = True
autodoc_typehints = "none"
# Long signatures have a line for each parameter; the right column has short names.
python_maximum_signature_line_length = 60
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_show_inherited_class_members = False

# Markdown with mathematics. Notebooks of the course hold their outputs: they are
# executed by doc/run_course.py, in CI too, not by each build.
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"
suppress_warnings = ["config.cache", "mystnb.unknown_mime_type"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/plot_",
    "ignore_pattern": r"(__init__|service|service_asgi|text_encoder)\.py",
    "abort_on_example_error": True,
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_xmr",),
    "reference_url": {"sklearn_xmr": None},
    "show_memory": False,
    "min_reported_time": 0,
    "download_all_examples": False,
    "within_subsection_order": ExplicitOrder(
        [
            "plot_tag_artworks.py",
            "plot_subject_indexing.py",
            "plot_tune.py",
            "plot_metrics.py",
            "plot_explain.py",
            "plot_rare_labels.py",
            "plot_calibration.py",
            "plot_label_sets.py",
            "plot_own_stages.py",
            "plot_combine_models.py",
            "plot_new_labels.py",
            "plot_learning.py",
            "plot_hybrid_features.py",
            "plot_model_size.py",
            "*",
        ]
    ),
}
warnings.filterwarnings("ignore", message="Matplotlib is currently using agg")

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_xmr"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # the theme's own script warns without it
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 10,
    "secondary_sidebar_items": ["page-toc"],
    "footer_end": [],
}
# Pages without pages below them: no left column.
_alone = ["index", "install", "quick_start", "choosing", "deploying", "faq"]
html_sidebars = {page: [] for page in [*_alone, "comparison", "whats_new/*"]}
