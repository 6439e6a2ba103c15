"""How Sphinx builds the pages: `make docs`. Every page of the gallery is executed, and an error in one of them
fails the build.
"""

import importlib.util
import os
import sys
from pathlib import Path

from sphinx.util.fileutil import copy_asset

HERE = Path(__file__).parent
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(HERE / "gallery"), *filter(None, [os.environ.get("PYTHONPATH")])]
)  # for the kernels
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
sys.path[:0] = [str(HERE.parent / "src"), str(HERE)]

import live_script  # noqa: E402 (found through the path above, as the next ones)
import notebooks  # noqa: E402
import reference  # noqa: E402

from vael import __version__  # noqa: E402

project = "vael"
release = version = __version__
author = "The vael authors"
extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinx.ext.autodoc"]
autodoc_default_options = {"members": True}
autodoc_inherit_docstrings = False  # those of torch are markup of another kind
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
mathjax_path = "mathjax/tex-chtml.js"  # copied below, so that formulas are set without a network
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"  # the pages show what the library does now, not what it once did
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_render_markdown_format = "myst"  # tables and formulas in what a cell shows
html_theme = "furo"
html_show_copyright = False
html_title = "vael"
html_static_path = ["static"]
html_extra_path = ["../llms.txt"]  # what programs that read look for
html_css_files = ["gallery.css", "live.css"]
exclude_patterns = ["_build"]
suppress_warnings = ["myst.header", "misc.highlighting_failure", "mystnb.unknown_mime_type"]


def copy_mathjax(app, exception) -> None:
    """MathJax, which the package sphinx-mathjax-offline carries; its own extension would keep pages from being read
    side by side.
    """
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if exception is None and app.builder.format == "html":
        copy_asset(Path(package.origin).parent / "static" / "mathjax", Path(app.outdir) / "_static" / "mathjax")


NOTEBOOKS = "_downloads/notebooks"


def offer_notebook(app, pagename, templatename, context, doctree) -> None:
    """Under the title of a page of the gallery, the notebook to download; on their contents, all in one archive."""
    page = HERE / f"{pagename}.md"
    if doctree is None or app.builder.format != "html":
        return
    if page in notebooks.pages():
        name, words = notebooks.name_of(page), "Download this page as a notebook"
    elif pagename == "gallery/index":
        name, words = "gallery.zip", "Download all pages as notebooks"
    else:
        return
    link = f'<p><a href="{context["pathto"](f"{NOTEBOOKS}/{name}", 1)}" download>{words}</a></p>'
    context["body"] = context["body"].replace("</h1>", f"</h1>\n{link}", 1)


def write_notebooks(app, exception) -> None:
    """The notebooks that the pages offer."""
    if exception is None and app.builder.format == "html":
        notebooks.write(Path(app.outdir) / NOTEBOOKS)


def add_live_script(app, pagename, templatename, context, doctree) -> None:
    """On pages that have a part to move, the script that moves it."""
    if app.builder.format == "html" and 'class="live"' in context.get("body", ""):
        app.add_js_file(live_script.NAME, loading_method="defer")


def write_live_script(app, exception) -> None:
    """That script."""
    if exception is None and app.builder.format == "html":
        (Path(app.outdir) / "_static" / live_script.NAME).write_text(live_script.script(), "utf-8")


def plain_docstring(app, what, name, found, options, lines) -> None:
    """A docstring as the API reference shows it."""
    lines[:] = reference.as_markup(lines)


def setup(app) -> dict[str, bool]:
    """Pages may be read side by side."""
    app.connect("autodoc-process-docstring", plain_docstring)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", write_notebooks)
    app.connect("build-finished", write_live_script)
    app.connect("html-page-context", add_live_script)
    app.connect("html-page-context", offer_notebook)
    return {"parallel_read_safe": True}
