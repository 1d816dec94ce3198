"""The notebooks are the source: modules, README and CI follow from them."""
import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import nbformat
import papermill
import pytest
from conftest import ROOT
from readme import render_readme

from brainclust.core.config import Config

TRACKED = ("nbs", "brainclust", "settings.ini", "setup.py", "pyproject.toml", "MANIFEST.in",
           "README.md", "tests")


def run(*command: str, cwd: Path) -> str:
    """Run a command of this environment and return what it printed; raise if it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def left_out(folder: str, names: list[str]) -> set[str]:
    """Return what is not copied: caches and run directories, but not the rooms called runs."""
    caches = {"__pycache__", ".ipynb_checkpoints"} & set(names)
    return caches | {name for name in names if Path(folder, name, "config.json").exists()}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A committed copy of the project."""
    for name in TRACKED:
        source = ROOT / name
        shutil.copytree(source, tmp_path / name, ignore=left_out) if source.is_dir() else (
            shutil.copy(source, tmp_path / name))
    run("git", "init", "-q", cwd=tmp_path)
    run("git", "add", "-A", cwd=tmp_path)
    run("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm", "copy",
        cwd=tmp_path)
    return tmp_path


def changes(folder: Path) -> str:
    """Return git's list of what is changed, new or gone."""
    return run("git", "status", "--porcelain", "-uall", cwd=folder)


def test_modules_and_outputs_are_in_step_with_the_notebooks(copy):
    for module in (copy / "brainclust").rglob("*.py"):
        if module.name != "__init__.py":
            module.unlink()
    run("nbdev-clean", cwd=copy)
    run("nbdev-export", cwd=copy)
    assert changes(copy) == ""


def test_the_sync_check_notices_an_orphan_and_an_edit(copy):
    (copy / "brainclust" / "models" / "orphan.py").write_text("x = 1\n")
    with open(copy / "brainclust" / "models" / "losses.py", "a") as module:
        module.write("# by hand\n")
    run("git", "add", "-A", cwd=copy)
    run("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm", "edit",
        cwd=copy)
    for module in (copy / "brainclust").rglob("*.py"):
        if module.name != "__init__.py":
            module.unlink()
    run("nbdev-export", cwd=copy)
    assert {line.split()[-1] for line in changes(copy).splitlines()} == {
        "brainclust/models/orphan.py", "brainclust/models/losses.py"}


def test_readme_is_the_index_notebook():
    assert (ROOT / "README.md").read_text(encoding="utf-8") == render_readme()


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs and list items of a markdown text, without code and tables."""
    prose = re.sub(r"(?s:```.*?```|<!--.*?-->)|^\|.*$|^ {4}.*$", "", text, flags=re.MULTILINE)
    return [part.strip() for part in re.split(r"\n\s*\n|\n(?=[-\d]+\.? )", prose) if part.strip()]


def test_the_readme_is_read_in_a_few_minutes():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.encode()) <= 9000
    prose = paragraphs(re.sub(r"\]\([^)]*\)", "]", text))
    assert sum(len(part.split()) for part in prose) <= 900
    for part in prose:
        assert len(part.split()) <= 80, part
        assert len(re.findall(r"\d\.\d", part)) <= 4, part


def test_notebooks_are_executed_small_and_without_errors():
    for path in sorted((ROOT / "nbs").rglob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        assert path.stat().st_size < 1_000_000, path
        assert not any(output.output_type == "error" for output in outputs), path
        assert outputs or path.stem == "index", f"{path} was never executed"


def dead_links(file: Path, text: str) -> list[str]:
    """Return the relative links of a document that lead to no file."""
    links = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", re.sub(r"```.*?```|`[^`]*`", "", text,
                                                             flags=re.DOTALL))
    return [f"{file.name}: {link}" for link in links
            if not re.match(r"\w+:", link) and not (file.parent / link).exists()]


def test_links_between_documents_lead_somewhere():
    documents = {ROOT / "README.md": (ROOT / "README.md").read_text(encoding="utf-8")}
    for path in sorted((ROOT / "nbs").rglob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        documents[path] = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    assert sum(text.count(".ipynb)") for text in documents.values()) > 100
    assert [link for file, text in documents.items() for link in dead_links(file, text)] == []
    assert dead_links(ROOT / "README.md", "[a](nbs/no.ipynb) [b](https://a.org) `[c](d)`") == [
        "README.md: nbs/no.ipynb"]


def test_edits_to_different_cells_merge(copy):
    """Two people who change, and rerun, different cells of one notebook do not meet a conflict."""
    commit = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qam",
              "edit")
    path = copy / "nbs" / "models" / "02_losses.ipynb"
    def append(number: int, text: str) -> None:
        notebook = nbformat.read(path, as_version=4)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        cells[number].source += text
        cells[number].execution_count = number + 40  # what a rerun leaves
        nbformat.write(notebook, path)
        run("nbdev-clean", "--fname", str(path), cwd=copy)
    run("nbdev-install-hooks", cwd=copy)
    run("git", "checkout", "-qb", "theirs", cwd=copy)
    append(3, "\n# theirs")
    run(*commit, cwd=copy)
    run("git", "checkout", "-q", "-", cwd=copy)
    append(-1, "\n# ours")
    run(*commit, cwd=copy)
    run("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "merge", "-q", "theirs",
        cwd=copy)
    text = path.read_text()
    assert "# theirs" in text and "# ours" in text and "<<<<" not in text


def test_every_setting_is_a_parameter_of_the_study():
    study = ROOT / "nbs/train.ipynb"
    parameters = {field.name for field in fields(Config)} | {"overrides"}
    # what papermill knows it passes on without a warning
    assert set(papermill.inspect_notebook(str(study))) == parameters
    first = next(cell for cell in nbformat.read(study, as_version=4).cells
                 if cell.cell_type == "code")
    imported = {alias.asname or alias.name for node in ast.walk(ast.parse(first.source))
                if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}
    assert not imported & parameters  # a setting of that name would be ignored
