"""Notebooks and documents as the site shows them: hidden cells, folded code, links, contents."""
import json
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("core", "data", "synthetic", "imaging", "models", "training", "analysis", "runs", "app")
REPOSITORY = "https://github.com/brainclust/brainclust"
DOCUMENTS = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
FOLDED = 25  # lines; longer code is folded
FIRST_TUTORIALS = ("quickstart", "your_data", "your_own_scans", "method_from_scratch")


class Page(NamedTuple):
    """A notebook or document of the repository, and its place in the site."""
    source: Path  # in the repository
    place: str  # in the site, such as core/04_config.ipynb
    title: str
    subtitle: str  # one sentence; empty: none
    module: str  # that the notebook is exported to, such as core.config; empty: none


class Known(NamedTuple):
    """Everything that a document may lead to."""
    pages: dict[Path, Page]  # by source
    names: dict[str, str]  # public names, and where they are described
    modules: set[str]  # that are described, such as core.config


def heading(text: str) -> tuple[str, str]:
    """Return title and subtitle of a document's first cell."""
    title = re.search(r"^# (.+)$", text, re.M)
    subtitle = re.search(r"^> (.+)$", text, re.M)
    return title[1].strip() if title else "", subtitle[1].strip() if subtitle else ""


def read_cells(path: Path) -> list[dict]:
    """Return a notebook's cells, each source as one text."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def notebook_page(path: Path) -> Page:
    """Describe a notebook."""
    sources = [cell["source"] for cell in read_cells(path)]
    title, subtitle = heading(next(text for text in sources if re.search("^# ", text, re.M)))
    module = re.search(r"^#\| default_exp (\S+)", sources[0])
    place = path.relative_to(ROOT / "nbs").as_posix()
    return Page(path, place, title, subtitle, module[1] if module else "")


def is_shown(path: Path) -> bool:
    """Tell whether a notebook is neither of a run nor of this configuration."""
    parts = path.relative_to(ROOT / "nbs").parts
    return not any(part[0] in "_." for part in parts) and not (path.parent / "config.json").exists()


def find_pages(
    only: tuple[str, ...] = (),  # beginnings of places, such as "core/"; empty: all
) -> dict[Path, Page]:  # by source
    """List the notebooks and documents of the site; the first page is always among them."""
    wanted = lambda place: place == "index.ipynb" or not only or place.startswith(only)
    pages = [notebook_page(path) for path in sorted((ROOT / "nbs").rglob("*.ipynb"))
             if is_shown(path) and wanted(path.relative_to(ROOT / "nbs").as_posix())]
    for name, place in DOCUMENTS.items():
        title, _ = heading((ROOT / name).read_text(encoding="utf-8"))
        if wanted(place): pages.append(Page(ROOT / name, place, title, "", ""))
    return {page.source: page for page in pages}


def relative(place: str, start: str) -> str:
    """Return the address of a page as another page sees it."""
    return os.path.relpath(place, PurePosixPath(start).parent).replace(os.sep, "/")


def resolve(
    target: str,  # of a link, such as ../core/04_config.ipynb#presets
    page: Page,  # that holds the link
    pages: dict[Path, Page],
) -> str:
    """Return a link's target in the site, or in the repository where the site has no such page."""
    address, mark, anchor = target.partition("#")
    if not address or re.match(r"\w+:", address): return target
    path = Path(os.path.normpath(page.source.parent / address))
    if path in pages: return relative(pages[path].place, page.place) + mark + anchor
    in_notebooks = path.is_relative_to(ROOT / "nbs") and path.exists()
    if in_notebooks and path.is_dir() and any(path in source.parents for source in pages):
        return relative(f"{path.relative_to(ROOT / 'nbs').as_posix()}/index.md", page.place)
    if in_notebooks and path.suffix == ".png":
        return relative(path.relative_to(ROOT / "nbs").as_posix(), page.place)
    if not path.exists(): return target  # Sphinx reports it
    kind = "tree" if path.is_dir() else "blob"
    return f"{REPOSITORY}/{kind}/main/{path.relative_to(ROOT).as_posix()}{mark}{anchor}"


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change the text of a Markdown document, but not its code."""
    parts = re.split(r"(```.*?```|`[^`\n]*`)", text, flags=re.S)
    return "".join(part if k % 2 else change(part) for k, part in enumerate(parts))


def with_links(text: str, page: Page, pages: dict[Path, Page]) -> str:
    """Point the links of a Markdown text to the site."""
    link = lambda found: f"]({resolve(found[1], page, pages)}{found[2]})"
    return outside_code(text, lambda part: re.sub(r"\]\(([^)\s]+)([^)]*)\)", link, part))


def with_names(
    text: str,
    names: dict[str, str],  # public names and where they are described, such as brainclust.core.…
) -> str:
    """Link `names` in backticks to their description, where they are not a link already."""
    role = lambda found: (f"{{py:obj}}`{found[1]} <{names[found[1]]}>`" if found[1] in names
                          else found[0])
    parts = re.split(r"(```.*?```|\[[^\]]*\]\([^)]*\)|^#.*$)", text, flags=re.S | re.M)
    return "".join(part if k % 2 else re.sub(r"(?<![`\w}])`(\w+)`(?!`)", role, part)
                   for k, part in enumerate(parts))


def shown_code(cell: dict) -> dict | None:
    """Return a code cell as nbdev would show it, long code folded; None: it is hidden."""
    lines = cell["source"].split("\n")
    words = {line[2:].split()[0] for line in lines if re.match(r"#\|\s*\w", line)}
    code = "\n".join(line for line in lines if not line.startswith("#|")).strip("\n")
    if {"hide", "default_exp"} & words or not code: return None
    length = code.count("\n") + 1
    metadata = {"tags": []}
    if "hide_input" in words:
        metadata = {"tags": ["remove-input"]}
    elif length > FOLDED:
        prompts = {"code_prompt_show": f"Show the code ({length} lines)",
                   "code_prompt_hide": "Hide the code"}
        metadata = {"tags": ["hide-input"], "mystnb": prompts}
    return {**cell, "source": code, "metadata": metadata}


def markdown_cell(name: str, text: str) -> dict:
    """Return a cell of Markdown."""
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def origin(page: Page, described: bool) -> dict:
    """Return the cell below a title that leads to the notebook itself and to its interface."""
    path = page.source.relative_to(ROOT).as_posix()
    colab = REPOSITORY.replace("github.com", "colab.research.google.com/github")
    links = [f"[Notebook]({REPOSITORY}/blob/main/{path})", f"[Colab]({colab}/blob/main/{path})"]
    if described:
        module = page.module.replace(".", "/")
        links.append(f"[Interface of {page.module}]({relative(f'api/{module}.md', page.place)})")
    text = ":::{container} origin\n" + " · ".join(links) + "\n:::"
    return markdown_cell("origin", text)


def render(
    page: Page,
    known: Known,
    more: str = "",  # Markdown at the end of a notebook
) -> str:
    """Return a document as Markdown, or a notebook as JSON, as MyST-NB reads them."""
    if page.source.suffix == ".md":
        return with_links(page.source.read_text(encoding="utf-8"), page, known.pages)
    cells = []
    for cell in read_cells(page.source):
        if cell["cell_type"] == "markdown":
            text = with_links(cell["source"], page, known.pages)
            cells.append({**cell, "source": with_names(text, known.names)})
        elif shown := shown_code(cell): cells.append(shown)
    if page.place != "index.ipynb":
        title = next(k for k, cell in enumerate(cells) if heading(cell["source"])[0] == page.title)
        cells.insert(title + 1, origin(page, page.module in known.modules))
    if more: cells.append(markdown_cell("more", more))
    language = {"name": "python", "pygments_lexer": "ipython3"}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5,
                       "metadata": {"language_info": language, "kernelspec": kernel}})


def contents(entries: list[str], options: str = ":hidden:\n:titlesonly:") -> str:
    """Return a table of contents, which the sidebar shows."""
    return "\n".join(["```{toctree}", options, "", *entries, "```"])


def section(title: str, introduction: str, pages: list[Page]) -> str:
    """Return the first page of a folder: a list of its notebooks."""
    mark = lambda page: "" if page.title.endswith("?") or not page.subtitle else ":"
    lines = [f"- [{page.title}]({PurePosixPath(page.place).name}){mark(page)} {page.subtitle}"
             for page in pages]
    names = [PurePosixPath(page.place).stem for page in pages]
    return "\n\n".join([f"# {title}", introduction, "\n".join(lines), contents(names)]) + "\n"


def room_purposes() -> dict[str, str]:
    """Return what each room holds, by the table of the first page."""
    text = "\n".join(cell["source"] for cell in read_cells(ROOT / "nbs" / "index.ipynb"))
    return dict(re.findall(r"^\| \[(\w+)\]\(\1/\S+\) \| (.+) \|$", text, re.M))
