"""Make README.md from nbs/index.ipynb: `python tests/readme.py`."""
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent


def shown(cell: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """Return a cell as a reader of the README sees it; None: not at all.

    Of a cell that begins with `#| hide_input` the output alone is shown, which is markdown.
    """
    if not cell.source.startswith("#| hide"): return cell
    if not cell.source.startswith("#| hide_input"): return None
    return nbformat.v4.new_markdown_cell(cell.outputs[0].data["text/markdown"])


def render_readme() -> str:
    """Return the README's text.

    The index notebook as markdown, hidden cells dropped, links seen from the top folder.
    """
    notebook = nbformat.read(ROOT / "nbs" / "index.ipynb", as_version=4)
    cells = [shown(cell) for cell in notebook.cells]
    notebook.cells = [cell for cell in cells if cell is not None]
    for cell in notebook.cells:  # a table as text, which is short
        for output in cell.get("outputs", []):
            if "text/plain" in output.get("data", {}):
                output.data.pop("text/html", None)
    notebook.metadata.language_info = {"name": "python"}
    text, _ = MarkdownExporter().from_notebook_node(notebook)
    places = r"\]\((images/|[\w/]+\.ipynb|experiments|explanations|tutorials)"
    text = re.sub(places, r"](nbs/\1", text)
    return re.sub(r"[ ]*\n{3,}", "\n\n", text).strip() + "\n"


if __name__ == "__main__":
    (ROOT / "README.md").write_text(render_readme(), encoding="utf-8")
    sys.exit(0)
