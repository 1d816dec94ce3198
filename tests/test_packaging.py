"""The package as others get it: what it is made of, what it asks for, and whether it runs there."""
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Iterator
from configparser import ConfigParser
from email import message_from_bytes
from functools import partial
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
from commands import card_command, predict_command
from conftest import ROOT, TINY
from packaging.requirements import Requirement

import brainclust
from brainclust.core.runtime import distribution_versions

parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(ROOT / "settings.ini", encoding="utf-8")
SETTINGS = parser["DEFAULT"]

# --- what is asked for ----------------------------------------------------------------------------

NOT_IMPORTED = {  # base requirements that no code imports by name
    "jupyterlab": "reads and runs the notebooks", "ipykernel": "papermill's kernel",
    "tensorboard": "torch.utils.tensorboard imports it",
}


def plain_name(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*kinds: str) -> set[str]:
    """Return the distributions that settings.ini asks for: `requirements`, `app_requirements`, …"""
    return {plain_name(Requirement(word).name) for kind in kinds for word in SETTINGS[kind].split()}


EXTRAS = {name for name in SETTINGS if name.endswith("_requirements")} - {"dev_requirements"}
BASE, OPTIONAL = declared("requirements"), declared("requirements", *EXTRAS)


def imported(tree: ast.AST, at_once: bool) -> Iterator[str]:
    """Yield the top-level names that code imports: when it is itself imported, or at any time."""
    for node in ast.iter_child_nodes(tree):
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield node.module.split(".")[0]
        elif not (at_once and later):
            yield from imported(node, at_once)


def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def cells(path: Path) -> Iterator[dict]:
    """Yield the code cells of a notebook, magics and shell commands left out."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = re.sub(r"^\s*[%!].*$", "pass", "".join(cell["source"]), flags=re.M)
        if cell["cell_type"] == "code":
            yield {**cell, "tree": ast.parse(source)}


def distributions(modules: set[str]) -> dict[str, set[str]]:
    """Return the distributions that third-party modules come from, by module."""
    ours = {"brainclust", *(path.stem for path in (*(ROOT / "tests").rglob("*.py"), *SITE))}
    return {module: set(map(plain_name, INSTALLED.get(module, [module])))
            for module in modules - ours - set(sys.stdlib_module_names)}


def undeclared(modules: set[str], known: set[str]) -> dict[str, set[str]]:
    """Return the modules of which no distribution is known."""
    return {module: names for module, names in distributions(modules).items() if not names & known}


SITE = sorted((ROOT / "nbs" / "_site").glob("*.py"))
INSTALLED = metadata.packages_distributions()
CODE = {path: parsed(path) for path in (ROOT / "brainclust").rglob("*.py")}
NOTEBOOKS = {path: list(cells(path)) for path in (ROOT / "nbs").rglob("*.ipynb")
             if not any(part[0] in "._" for part in path.relative_to(ROOT).parts)
             and not (path.parent / "config.json").exists()}  # of a run


def test_everything_that_the_package_imports_is_asked_for():
    at_once = {name for tree in CODE.values() for name in imported(tree, at_once=True)}
    at_any_time = {name for tree in CODE.values() for name in imported(tree, at_once=False)}
    assert {"numpy", "cv2", "PIL"} <= at_once and {"gradio", "ray"} <= at_any_time - at_once
    assert undeclared(at_once, BASE) == {}
    assert undeclared(at_any_time, OPTIONAL) == {}


def test_everything_that_a_study_imports_is_asked_for():
    """Notebooks with parameters are installed and run without the developers' packages."""
    studies = {path: cells for path, cells in NOTEBOOKS.items()
               if any("parameters" in cell["metadata"].get("tags", []) for cell in cells)}
    assert "train" in {path.stem for path in studies} and len(studies) > 5
    modules = {name for cells in studies.values() for cell in cells
               for name in imported(cell["tree"], at_once=False)}
    assert undeclared(modules, OPTIONAL) == {}


def test_everything_that_notebooks_and_tests_import_is_asked_for():
    trees = [cell["tree"] for cells in NOTEBOOKS.values() for cell in cells]
    trees += map(parsed, (*(ROOT / "tests").rglob("*.py"), *SITE))
    modules = {name for tree in trees for name in imported(tree, at_once=False)}
    assert undeclared(modules, OPTIONAL | declared("dev_requirements")) == {}


def test_nothing_is_asked_for_in_vain():
    trees = [*CODE.values(), *(cell["tree"] for cells in NOTEBOOKS.values() for cell in cells)]
    modules = {name for tree in trees for name in imported(tree, at_once=False)}
    used = set().union(*distributions(modules).values())
    assert BASE - used - set(NOT_IMPORTED) == set()


def test_every_requirement_names_its_lowest_version():
    """The nightly job tests with these."""
    names = [name for name in SETTINGS if name.endswith("requirements")]
    wanted = [Requirement(word) for name in names for word in SETTINGS[name].split()]
    assert [str(one) for one in wanted if ">=" not in str(one.specifier)] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "lowest.lock"])
def test_a_lock_holds_what_is_asked_for(lock):
    """Whoever changes settings.ini solves both lists anew: `bash .ci/lock`."""
    lines = (ROOT / ".ci" / lock).read_text(encoding="utf-8").splitlines()
    locked = dict(line.split("==") for line in lines if line[0] != "#")
    assert len(locked) > 200
    for name in (name for name in SETTINGS if name.endswith("requirements")):
        for wanted in map(Requirement, SETTINGS[name].split()):
            assert wanted.specifier.contains(locked[plain_name(wanted.name)]), wanted


def test_both_descriptions_name_one_version():
    """nbdev writes `__version__` no more: settings.ini and the package are changed together."""
    assert SETTINGS["version"] == brainclust.__version__


@pytest.mark.parametrize("installed", ["fake-cv-headless", "fake-cv", "Fake_CV.contrib", None])
def test_a_distribution_is_found_by_its_import_name(tmp_path, monkeypatch, installed):
    """OpenCV comes from one of several distributions, and with none of them nothing raises."""
    (tmp_path / "fake_cv.py").touch()
    if installed:
        folder = tmp_path / f"{installed.replace('-', '_')}-5.0.dist-info"
        folder.mkdir()
        text = f"Metadata-Version: 2.1\nName: {installed}\nVersion: 5.0\n"
        (folder / "METADATA").write_text(text)
        (folder / "RECORD").write_text(f"fake_cv.py,,\n{folder.name}/METADATA,,\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = distribution_versions({"fake_cv": "fake-cv-headless"})
    assert found == ({installed: "5.0"} if installed else {"fake-cv-headless": "unknown"})

# --- what is built --------------------------------------------------------------------------------

SOURCES = ("brainclust", "nbs", "tests", "settings.ini", "setup.py", "pyproject.toml",
           "MANIFEST.in", "README.md", "LICENSE")
# Files of a room of the package and of its notebooks, whether or not there is one today.
PLANTED = ("brainclust/planted/__init__.py", "brainclust/planted/deep/__init__.py",
           "brainclust/planted/static/page.js", "brainclust/planted/templates/page.html",
           "brainclust/planted/weights/small.safetensors",
           "nbs/planted/00_first.ipynb", "nbs/planted/results/numbers.csv",
           "brainclust/runs/__init__.py", "nbs/runs/00_planted.ipynb")  # no run, but a room
LEFT_OVER = ("nbs/runs/a/train.ipynb", "nbs/planted/runs/a/train.ipynb", "nbs/_draft/a.ipynb",
             "nbs/.ipynb_checkpoints/a-checkpoint.ipynb", "brainclust/planted/notes.txt",
             "nbs/planted/.ipynb_checkpoints/a-checkpoint.ipynb")


def call(*command: str | Path, cwd: Path, errors: bool = False, **environment: str) -> str:
    """Run a command that sees no other brainclust, and return its output; raise if it fails.

    The output for errors follows, if it is asked for.
    """
    environment = {**os.environ, **environment}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr * errors


def is_run(folder: Path) -> bool:
    """Tell a run directory, which may be large, from a room of that name."""
    return (folder / "config.json").exists()


def left_out(folder: str, names: list[str]) -> set[str]:
    """Return what is not copied of a folder of the sources."""
    caches = {"__pycache__", ".ipynb_checkpoints"} & set(names)
    return caches | {name for name in names if is_run(Path(folder, name))}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """The sdist, the wheel made of it, and the wheel made of the sources, with planted files."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        copy = shutil.copy if (ROOT / name).is_file() else partial(shutil.copytree, ignore=left_out)
        copy(ROOT / name, source / name)
    for name in (*PLANTED, *LEFT_OVER):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir")
    call(*build, folder / "both", cwd=source)
    call(*build, folder / "direct", "--wheel", cwd=source)
    return {"sdist": next(folder.glob("both/*.tar.gz")), "wheel": next(folder.glob("both/*.whl")),
            "direct": next(folder.glob("direct/*.whl"))}


def contents(wheel: Path) -> dict[str, int]:
    """Return the names and checksums of a wheel's files, but for the list of them."""
    with ZipFile(wheel) as archive:
        return {file.filename: file.CRC for file in archive.infolist()
                if not file.filename.endswith("dist-info/RECORD")}


def test_a_wheel_is_the_same_from_the_sdist_and_from_the_sources(built):
    assert contents(built["wheel"]) == contents(built["direct"])


def test_a_wheel_holds_all_modules_notebooks_and_data_and_no_leftovers(built):
    names = set(contents(built["wheel"]))
    data = [path for pattern in ("brainclust/**/*.safetensors", "nbs/**/results/*.csv")
            for path in ROOT.glob(pattern)]
    assert len(data) > 10
    files = [*CODE, *NOTEBOOKS, *data, ROOT / "brainclust" / "py.typed"]
    travels = [*PLANTED, *(path.relative_to(ROOT).as_posix() for path in files)]
    installed = lambda name: re.sub("^nbs/", "brainclust/notebooks/", name)
    assert set(map(installed, travels)) - names == set()
    assert set(map(installed, LEFT_OVER)) & names == set()
    assert not any(re.search(r"\.ipynb_checkpoints|__pycache__|/tests/", name) for name in names)
    top = {name.split("/")[0] for name in names}
    assert top == {"brainclust", f"brainclust-{brainclust.__version__}.dist-info"}


def test_an_sdist_holds_what_a_wheel_and_the_tests_need(built):
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {*SOURCES, "tests/conftest.py", "tests/mutants.py"} <= names
    assert not names & set(LEFT_OVER)


def test_an_index_shows_licence_addresses_and_a_description_with_its_pictures(built):
    with ZipFile(built["wheel"]) as archive:
        place = f"brainclust-{brainclust.__version__}.dist-info/"
        described = message_from_bytes(archive.read(f"{place}METADATA"))
        assert archive.read(f"{place}licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert described["License-Expression"] == "Apache-2.0"
    addresses = dict(line.split(", ") for line in described.get_all("Project-URL"))
    assert set(addresses) == {"Documentation", "Source", "Issues", "Changelog"}
    assert all(address.startswith("https://") for address in addresses.values())
    pythons = {f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 15)}
    assert pythons <= set(described.get_all("Classifier"))
    text = described.get_payload()
    assert "/raw/main/nbs/images/" in text and "/blob/main/nbs/" in text
    assert re.findall(r"\]\((?!\w+:|#)[^)]*\)", text) == []


@pytest.mark.parametrize("heading, printed", [
    ("## 1.2.0, 2026-12-01", "- second\n"), ("## 1.2.0", "- second\n"),
    ("## 1.2.0, not yet released", "not yet released"), ("## 1.2.01", "no section")])
def test_a_release_has_the_section_of_its_version(tmp_path, heading, printed):
    text = f"# Changes\n\n{heading}\n\n- second\n\n## 1.1.0\n\n- first\n"
    (tmp_path / "changes.md").write_text(text)
    done = subprocess.run(["bash", ROOT / ".ci" / "changes", "1.2.0", tmp_path / "changes.md"],
                          capture_output=True, text=True)
    assert (done.returncode == 0) == (printed == "- second\n")
    assert printed in done.stdout + done.stderr and "first" not in done.stdout


@pytest.fixture(scope="module")
def fresh(built, tmp_path_factory) -> Path:
    """The programs of a new environment with the wheel of the sdist.

    It sees the packages of the running environment, but not what is installed there as editable:
    that is found by a .pth file, and those count only in an environment's own folder.
    """
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=True)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(call(programs / "python", "-c", where, cwd=folder).strip())
    others = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    (own / "others.pth").write_text("\n".join(sorted(others)))
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "install")
    call(*pip, "--no-deps", "--no-index", "--ignore-installed", built["wheel"], cwd=folder)
    return programs


@pytest.fixture(scope="module")
def installed_run(fresh, phantom_tree, tmp_path_factory) -> tuple[Path, Path, str]:
    """An empty folder in which the console command has run on scans without labels.

    The scans, and what was printed, come with it.
    """
    folder = tmp_path_factory.mktemp("installed")
    scans, place = folder / "scans", folder / "empty"
    scans.mkdir(), place.mkdir()
    for path in phantom_tree.rglob("*.png"):
        (scans / path.name).write_bytes(path.read_bytes())
    path = os.pathsep.join([str(fresh), os.environ["PATH"]])
    settings = {name: value for name, value in TINY.items() if not name.startswith("phantom")}
    settings |= {"data": scans, "out": "a-run", "pretrain_epochs": 1}
    words = [word for name, value in settings.items() for word in ("-p", name, str(value))]
    printed = call(fresh / "brainclust", "run", "--no-html", *words, cwd=place, PATH=path,
                   errors=True)
    return place, scans, printed


def test_an_installed_package_runs_the_study_from_an_empty_folder(fresh, installed_run):
    place, _, printed = installed_run
    where = "import brainclust; print(brainclust.__file__)"
    file = Path(call(fresh / "python", "-c", where, cwd=place).strip())
    assert file.is_relative_to(fresh.parent) and not file.is_relative_to(ROOT)
    assert "a-run" in printed and [path.name for path in place.iterdir()] == ["a-run"]
    record = json.loads((place / "a-run" / "run.json").read_text(encoding="utf-8"))
    assert record["versions"]["brainclust"] == brainclust.__version__ and record["results"]
    names = {path.name for path in (place / "a-run").iterdir()}
    assert {"train.ipynb", "model.safetensors", "figures", "tables"} <= names


def test_without_labels_it_runs_and_says_what_it_left_out(installed_run, tmp_path):
    place, scans, printed = installed_run
    run = place / "a-run"
    assert "unknown parameter" not in printed  # papermill's warning, of settings that are known
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    notes = " ".join(record["notes"])
    assert "No slice has a label" in notes and "these were left out: accuracy of the head" in notes
    assert (
        record["results"]["test_accuracy"] is None and record["results"]["silhouette"] is not None)
    table = pd.read_csv(run / "tables" / "test_predictions.csv")
    assert len(table) and table.y_pred.isna().all() and table.cluster.between(0, 3).all()
    to_name = pd.read_csv(run / "clusters.csv")
    assert len(to_name) == record["results"]["named_components"]
    assert to_name.suggested.isna().all()  # a random network knows no class
    words = [str(run), str(scans), "--out", str(tmp_path / "out.csv"), "--device", "cpu"]
    assert predict_command(words) == 0
    asked = pd.read_csv(tmp_path / "out.csv")
    assert (asked["class"].isna().all() and asked.prob_glioma.isna().all()
            and asked.cluster.between(0, 3).all())
    assert (card_command([str(run)]) == 0
            and "Without labels" in (run / "MODEL_CARD.md").read_text(encoding="utf-8"))


@pytest.mark.nightly
def test_the_first_cell_installs_the_package_where_it_is_missing(tmp_path):
    """Run the study's first cell as in Colab: its source alone, in an environment without us."""
    if not (ROOT / ".git").exists():
        pytest.skip("no repository: the cell installs from one")
    venv.create(tmp_path / "plain", symlinks=True)
    python = tmp_path / "plain" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(call(python, "-c", where, cwd=tmp_path).strip())
    (own / "others.pth").write_text(sysconfig.get_path("purelib"))
    study = json.loads((ROOT / "nbs" / "train.ipynb").read_text(encoding="utf-8"))
    cell = next("".join(cell["source"]) for cell in study["cells"] if cell["cell_type"] == "code")
    cell = cell.partition("\n\nfrom ")[0]  # the imports of the study follow
    address = re.search(r"git\+(https://[^\"]+)", cell)[1]
    assert address == SETTINGS["git_url"]
    call(python, "-c", cell, cwd=tmp_path,
         # the address leads to this checkout; the packages that it asks for are there
         GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0=f"url.{ROOT.as_uri()}.insteadOf",
         GIT_CONFIG_VALUE_0=address, PIP_NO_DEPS="1", PIP_IGNORE_INSTALLED="1",
         PIP_NO_BUILD_ISOLATION="0")
    place = "from brainclust.runs.execute import notebook_path; print(notebook_path('train'))"
    assert Path(call(python, "-c", place, cwd=tmp_path).strip()).is_relative_to(tmp_path)
    assert call(python, "-c", cell, cwd=tmp_path, PATH="") == ""  # the second time it has no work
