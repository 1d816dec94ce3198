"""Make README.md from nbs/index.ipynb: `python tests/readme.py`."""
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent


def render_readme() -> str:
    """Return the README's text.

    The index notebook as markdown, hidden cells dropped, links seen from the top folder.
    """
    notebook = nbformat.read(ROOT / "nbs" / "index.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not cell.source.startswith("#| hide")]
    text, _ = MarkdownExporter().from_notebook_node(notebook)
    places = r"\]\((images/|[\w/]+\.ipynb|experiments|explanations|tutorials)"
    text = re.sub(places, r"](nbs/\1", text)
    return text.strip() + "\n"


if __name__ == "__main__":
    (ROOT / "README.md").write_text(render_readme(), encoding="utf-8")
    sys.exit(0)
