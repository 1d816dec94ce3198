"""Settings of Sphinx for the site, which `site_build.py` builds."""
from configparser import ConfigParser
from pathlib import Path

_parser = ConfigParser(delimiters=["="], interpolation=None)
_parser.read(Path(__file__).resolve().parents[2] / "settings.ini", encoding="utf-8")
_settings = _parser["DEFAULT"]

project = _settings["lib_name"]
author = _settings["author"]
release = version = _settings["version"]
copyright = f"{author}; Apache-2.0"

extensions = ["myst_nb", "sphinx.ext.githubpages", "sphinx.ext.mathjax"]
# Notebooks are stored executed, and shown as they are.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = project
html_baseurl = "https://brainclust.github.io/brainclust/"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {name: [] for name in ("index", "train", "contributing", "changelog")}
html_theme_options = {
    "github_url": _settings["git_url"],
    "header_links_before_dropdown": 7,
    "navigation_depth": 2,
    "show_toc_level": 2,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
