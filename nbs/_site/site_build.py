"""Build the site of the notebooks and of the interface: `python nbs/_site/site_build.py`.

    python nbs/_site/site_build.py --out FOLDER           into FOLDER/html, not into _docs/html
    python nbs/_site/site_build.py core/ api/core/        these rooms alone, and the first page
"""
import argparse
import shutil
import sys
from pathlib import Path

import site_api
import site_pages
from site_pages import ROOMS, ROOT, Page
from sphinx.cmd.build import main as sphinx

HERE = Path(__file__).resolve().parent
FOLDERS = {  # in the order of the site's header, with their introductions
    "tutorials": ("Tutorials", "Step by step, each from files to a result."),
    "explanations": ("Explanations", "All results, reproducible runs, and licences."),
    "experiments": ("Experiments", "Studies of one question each."),
}


def in_order(pages: list[Page]) -> list[Page]:
    """Put the tutorials to begin with before the others."""
    rank = {name: k for k, name in enumerate(site_pages.FIRST_TUTORIALS)}
    return sorted(pages, key=lambda page: (rank.get(page.source.stem, len(rank)), page.place))


def folder_pages(pages: dict[Path, Page]) -> dict[str, str]:
    """Return the first pages of folders and rooms, by place."""
    within = lambda name: in_order([page for page in pages.values()
                                    if page.place.startswith(f"{name}/")])
    found = {f"{name}/index.md": site_pages.section(title, text, within(name))
             for name, (title, text) in FOLDERS.items() if within(name)}
    purposes = site_pages.room_purposes()
    rooms = [room for room in ROOMS if within(room)]
    for room in rooms:
        text = f"Holds {purposes[room]}."
        found[f"{room}/index.md"] = site_pages.section(room.capitalize(), text, within(room))
    if rooms:
        lines = "\n".join(f"- [{room}](../{room}/index.md): {purposes[room]}" for room in rooms)
        text = "A room imports only from the rooms above it."
        entries = site_pages.contents([f"../{room}/index" for room in rooms])
        found["notebooks/index.md"] = "\n\n".join(["# Notebooks", text, lines, entries]) + "\n"
    return found


def described(module: site_api.Module, pages: dict[Path, Page]) -> tuple[str, str]:
    """Return place and text of a module's page; its links are those of a file of that place."""
    place = f"api/{module.name.replace('.', '/')}.md"
    page = Page(ROOT / "nbs" / place, place, module.name, "", module.name)
    return place, site_pages.with_links(site_api.module_page(module), page, pages)


def api_pages(
    only: tuple[str, ...],  # beginnings of places; empty: everything
    pages: dict[Path, Page],
) -> tuple[dict[str, str], list[site_api.Module]]:  # by place; the modules that they describe
    """Return the pages of the interface."""
    rooms = [room for room in ROOMS if not only or f"api/{room}/" in only]
    modules = {room: site_api.read_modules(room) for room in rooms}
    found = {}
    for room, several in modules.items():
        found |= dict(described(module, pages) for module in several)
        names = [module.name.rpartition(".")[2] for module in several]
        lines = "\n".join(f"- [{module.name}]({name}.md): {site_api.docstring(module.tree)}"
                          for module, name in zip(several, names))
        found[f"api/{room}/index.md"] = "\n\n".join(
            [f"# {room}", lines, site_pages.contents(names)]) + "\n"
    if rooms:
        text = ("Every public function and class, by module. The comments beside the parameters "
                "are shown as tables.")
        lines = "\n".join(f"- [{room}]({room}/index.md): {site_pages.room_purposes()[room]}"
                          for room in rooms)
        entries = site_pages.contents([f"{room}/index" for room in rooms])
        found["api/index.md"] = "\n\n".join(["# Interface", text, lines, entries]) + "\n"
    return found, [module for several in modules.values() for module in several]


def header(places: set[str]) -> str:
    """Return the contents of the first page, which stand in the site's header."""
    folders = [f"{name}/index" for name in (*FOLDERS, "notebooks", "api")]
    there = {place.rpartition(".")[0] for place in places}
    names = [name for name in ("train", *folders, "contributing", "changelog") if name in there]
    return site_pages.contents(["Study <train>" if name == "train" else name for name in names])


def write_sources(
    work: Path,  # folder; what it holds is removed
    only: tuple[str, ...] = (),  # beginnings of places; empty: everything
) -> None:
    """Write what Sphinx reads: notebooks, documents, and the pages that are made of them."""
    shutil.rmtree(work, ignore_errors=True)
    pages = site_pages.find_pages(only)
    interface, modules = api_pages(only, pages)
    made = folder_pages(pages) | interface
    more = {"index.ipynb": header({*made, *(page.place for page in pages.values())})}
    known = site_pages.Known(pages, site_api.public_names(modules), {m.name for m in modules})
    made |= {page.place: site_pages.render(page, known, more.get(page.place, ""))
             for page in pages.values()}
    for place, text in made.items():
        (work / place).parent.mkdir(parents=True, exist_ok=True)
        (work / place).write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / "nbs" / "images", work / "images")


def build(
    folder: Path,  # its subfolder html is the site; sources and doctrees lie beside it
    only: tuple[str, ...] = (),  # beginnings of places; empty: everything
) -> int:
    """Build the site, warnings as errors; return 0 if there are none."""
    write_sources(folder / "sources", only)
    places = ["-d", folder / "doctrees", "-c", HERE, folder / "sources", folder / "html"]
    return sphinx(["-W", "--keep-going", "-q", "-j", "auto", *map(str, places)])


def main() -> int:
    """Build what is asked for on the command line."""
    parser = argparse.ArgumentParser(description="Build the site.")
    parser.add_argument("only", nargs="*", help="beginnings of pages; none: everything")
    parser.add_argument("--out", type=Path, default=ROOT / "_docs", help="folder; html is in it")
    wanted = parser.parse_args()
    return build(wanted.out, tuple(wanted.only))


if __name__ == "__main__": sys.exit(main())
