"""The site shows notebooks as they stand, describes every public name, and has no dead link."""
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "nbs" / "_site"))
import site_api  # noqa: E402
import site_build  # noqa: E402
import site_pages  # noqa: E402

SMALL = ("core/03", "core/04", "api/core/", "tutorials/your_data", "tutorials/other_classes",
         "changelog")


def build(folder: Path, *only: str) -> subprocess.CompletedProcess:
    """Build the site, or some pages of it, as a person does."""
    program = ROOT / "nbs" / "_site" / "site_build.py"
    return subprocess.run([sys.executable, str(program), "--out", str(folder), *only],
                          capture_output=True, text=True, cwd=folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """The site of one room, of its interface and of two tutorials."""
    folder = tmp_path_factory.mktemp("site")
    done = build(folder, *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


def test_a_part_of_the_site_is_built_without_warnings(small):
    for page in ("index", "core/04_config", "tutorials/your_data", "api/core/config", "changelog"):
        text = (small / f"{page}.html").read_text(encoding="utf-8")
        assert "<h1>" in text and "#|" not in text, page
    assert not (small / "data" / "27_audit.html").exists()
    assert (small / "_images" / "tsne.png").exists() and (small / ".nojekyll").exists()


def test_links_lead_to_pages_and_else_to_the_repository(small):
    text = (small / "core" / "04_config.html").read_text(encoding="utf-8")
    assert 'href="03_setting_types.html"' in text and 'href="../api/core/config.html"' in text
    assert "blob/main/nbs/core/04_config.ipynb" in text
    outside = re.findall(r'href="([^":]+\.ipynb[^"]*)"', text)
    assert outside == []
    text = (small / "api" / "core" / "files.html").read_text(encoding="utf-8")
    assert "blob/main/nbs/core/01_files.ipynb" in text  # that this small site has not


def test_the_interface_shows_comments_and_can_be_searched(small):
    text = (small / "api" / "core" / "config.html").read_text(encoding="utf-8")
    assert 'id="brainclust.core.config.make_config"' in text
    assert "name of the preset that the other values started from" in text
    index = (small / "searchindex.js").read_text(encoding="utf-8")
    assert "make_config" in index and "tutorials/your_data" in index


def shown(source: str) -> dict | None:
    """Return a code cell as the site shows it."""
    return site_pages.shown_code({"cell_type": "code", "source": source, "metadata": {}})


def test_directives_hide_cells_as_in_nbdev_and_long_code_is_folded():
    assert shown("#| hide\nx = 1") is None and shown("#| default_exp core.files") is None
    assert shown("#| export\nx = 1")["source"] == "x = 1"
    assert shown("#| slow\n#| hide_input\nx")["metadata"]["tags"] == ["remove-input"]
    assert shown("x = 1\n" * 25 + "x")["metadata"]["tags"] == ["hide-input"]
    assert shown("x = 1\n" * 24 + "x")["metadata"]["tags"] == []


def test_a_link_is_resolved_by_what_the_site_holds():
    pages = site_pages.find_pages(("core/", "explanations/", "contributing"))
    page = pages[ROOT / "nbs" / "core" / "04_config.ipynb"]
    link = lambda target: site_pages.resolve(target, page, pages)
    in_repository = "https://github.com/brainclust/brainclust/blob/main/"
    assert link("01_files.ipynb#A-title") == "01_files.ipynb#A-title"
    assert link("../../CONTRIBUTING.md") == "../contributing.md"
    assert link("../explanations") == "../explanations/index.md"
    assert link("../data/27_audit.ipynb") == in_repository + "nbs/data/27_audit.ipynb"
    assert link("../../LICENSE") == in_repository + "LICENSE"
    assert link("https://a.org") == "https://a.org" and link("none.ipynb") == "none.ipynb"


def test_code_keeps_its_links_and_names():
    page = site_pages.notebook_page(ROOT / "nbs" / "core" / "04_config.ipynb")
    text = "`[a](../../LICENSE)`\n```\n[a](../../LICENSE)\n```"
    assert site_pages.with_links(text, page, {}) == text
    names = {"make_config": "brainclust.core.config.make_config"}
    linked = "{py:obj}`make_config <brainclust.core.config.make_config>`"
    assert site_pages.with_names("`make_config`, `other`", names) == f"{linked}, `other`"
    for text in ("```\n`make_config`\n```", "[`make_config`](a.md)", "# `make_config`"):
        assert site_pages.with_names(text, names) == text


def example(tmp_path: Path, monkeypatch, source: str) -> str:
    """Return a page on a module that holds `source`."""
    (tmp_path / "brainclust" / "core").mkdir(parents=True)
    path = tmp_path / "brainclust" / "core" / "example_of_site.py"
    origin = "# File to edit: ../../nbs/core/00_example.ipynb."
    path.write_text(f'"""An example."""\n{origin}\n{source}')
    monkeypatch.setattr(site_api, "ROOT", tmp_path)
    import brainclust.core
    monkeypatch.setattr(brainclust.core, "__path__", [str(path.parent), *brainclust.core.__path__])
    page = site_api.module_page(site_api.read_module(path))
    del sys.modules["brainclust.core.example_of_site"]
    return page


def test_a_module_is_described_with_what_is_written_beside_its_parameters(tmp_path, monkeypatch):
    page = example(tmp_path, monkeypatch, '''
from typing import NamedTuple
from fastcore.basics import patch
__all__ = ["LIMIT", "Point", "move"]
LIMIT = 3  # at most
class Point(NamedTuple):
    """A place."""
    # to the right,
    # in mm
    x: float
    y: float | None = None  # upwards; None: <x>
@patch
def length(self: Point) -> float:  # in mm
    "Measure it."
def move(
    point: Point,  # that is moved
    *,
    by: int = 1,  # a_b in mm
) -> Point:  # another
    """Move a point. Raises: ValueError if it is far away."""
''')
    for line in ("| `x` | `float` |  | to the right, in mm |",
                 r"| `y` | `float \| None` | `None` | upwards; None: \<x> |",
                 ":::{py:method} length() -> float", "| returns | `float` | in mm |",
                 r"| `by` | `int` | `1` | a\_b in mm |", ":value: 3", "at most",
                 "**Raises:** ValueError if it is far away.", "../../core/00_example.ipynb"):
        assert line in page, line


def dead_addresses(html: Path) -> list[str]:
    """Return the relative addresses of a built site that lead to no file."""
    found = []
    for path in (path for path in html.rglob("*.html") if "_static" not in path.parts):
        text = re.sub(r"<pre.*?</pre>", "", path.read_text(encoding="utf-8"), flags=re.S)
        for address in set(re.findall(r'(?:href|src)="([^"#?]+)', text)):
            if not re.match(r"\w+:|//", address) and not (path.parent / unquote(address)).exists():
                found.append(f"{path.relative_to(html)}: {address}")
    return found


def test_the_way_to_a_notebook_stands_below_its_title():
    page = site_pages.notebook_page(ROOT / "nbs" / "train.ipynb")
    text = site_pages.render(page, site_pages.Known({}, {}, set()))
    sources = ["".join(cell["source"]) for cell in json.loads(text)["cells"]]
    below = next(k for k, source in enumerate(sources) if "{container} origin" in source)
    assert sources[below - 1].startswith(f"# {page.title}")


@pytest.mark.nightly
def test_the_whole_site_is_built_without_warnings(tmp_path):
    done = build(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = site_pages.find_pages()
    assert len(pages) > 180
    for page in pages.values():
        assert (tmp_path / "html" / page.place).with_suffix(".html").exists(), page.place
    assert dead_addresses(tmp_path / "html") == []
    inventory = (tmp_path / "html" / "genindex.html").read_text(encoding="utf-8")
    for room in site_pages.ROOMS:
        for module in site_api.read_modules(room):
            for name in module.public:
                assert f"brainclust.{module.name}.{name}" in inventory


@pytest.mark.nightly
def test_a_dead_link_fails_the_build(tmp_path, monkeypatch):
    monkeypatch.setattr(site_pages, "with_links", lambda *_: "# Changes\n\n[a](none.md)\n")
    assert site_build.build(tmp_path, ("changelog",)) != 0
