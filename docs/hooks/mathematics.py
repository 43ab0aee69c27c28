"""Formulas are drawn by MathJax, one file that the book carries along: no page loads anything from elsewhere.

`pymdownx.arithmatex` marks what stands between dollar signs; MathJax looks at what is marked and at nothing else.
"""

import importlib.util
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

SETTINGS = r"""
window.MathJax = {
  tex: { inlineMath: [["\\(", "\\)"]], displayMath: [["\\[", "\\]"]], processEscapes: true },
  options: { ignoreHtmlClass: ".*|", processHtmlClass: "arithmatex", enableMenu: false },
};
"""


def on_config(config):
    """Ask every page for the settings, then for MathJax."""
    config["extra_javascript"] += ["javascripts/formulas.js", "javascripts/mathjax.js"]
    return config


def on_files(files, config):
    """Copy MathJax out of the package that carries it."""
    package = importlib.util.find_spec("mathjax")
    if package is None or not package.submodule_search_locations:
        raise PluginError(
            "expected the package django-static-mathjax, which carries MathJax, found none; run make docs"
        )
    source = Path(next(iter(package.submodule_search_locations))) / "static" / "mathjax" / "es5" / "tex-svg-full.js"
    files.append(File.generated(config, "javascripts/formulas.js", content=SETTINGS))
    files.append(File.generated(config, "javascripts/mathjax.js", abs_src_path=str(source)))
    return files
