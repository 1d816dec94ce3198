"""Run notebooks as nbdev-test does, each exported cell under its module's name and line numbers.

So coverage counts the cells in their modules.

    python tests/notebooks.py models/02_losses core/08_metrics       these notebooks
    python tests/notebooks.py --coverage FOLDER                      nightly: all, and the table
    python tests/notebooks.py --coverage FOLDER models/02_losses test_audit     only these

What FOLDER holds from an earlier call is added.
"""
import argparse
import ast
import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = ("slow", "cuda")  # as in pyproject.toml


class Place(NamedTuple):
    """The place in a module where nbdev wrote a cell."""
    file: str  # of the module
    line: int  # of the marker before the cell, from 1
    lines: list[str]  # that follow it, up to the next marker


def exported_cells(notebook: str, package: Path = ROOT / "brainclust") -> dict[str, Place]:
    """The place of each exported cell of a notebook, by the cell's id."""
    places = {}
    for file in sorted(package.glob("*/*.py")):
        lines = file.read_text(encoding="utf-8").splitlines()
        markers = [number for number, line in enumerate(lines, 1) if line.startswith("# %% ")] + [
            len(lines) + 1
        ]
        for number, following in zip(markers, markers[1:]):
            found = re.fullmatch(rf"# %% (?:\.\./)+nbs/{notebook}\.ipynb #(\S+)", lines[number - 1])
            if found:
                places[found[1]] = Place(str(file), number, lines[number:following - 1])
    return places


def directives(source: str) -> int:
    """The number of lines such as `#| export` that a cell begins with, which its module lacks."""
    lines = source.splitlines()
    return next((number for number, line in enumerate(lines) if line[:2] != "#|"), len(lines))


def same_code(place: Place, source: str) -> bool:
    """Whether a module's lines are those of a cell without its directives.

    Nbdev shortens imports from the package itself.
    """
    shorten = lambda line: re.sub(r"\bfrom (?:brainclust)?[.\w]+ import", "from . import",
                                  line).rstrip()
    lines = lambda text: list(map(shorten, text.rstrip().splitlines()))
    return lines(source)[directives(source):] == lines("\n".join(place.lines))


def run_notebook(
    path: Path,
    # called with each cell that is about to run, whose source it may change
    before_cell: Callable[[object], None] | None = None,
) -> bool:
    """Run a notebook's cells as nbdev-test does; False when one raised."""
    import nbdev.test
    from execnb.shell import CaptureShell
    from IPython.core.compilerop import CachingCompiler
    places = exported_cells(path.relative_to(ROOT / "nbs").with_suffix("").as_posix())

    class ModuleCompiler(CachingCompiler):
        """Compiles the cell at hand under the name of its module."""
        place, directives = None, 0
        def cache(self, transformed_code, number=0, raw_code=None):
            return (
                self.place.file if self.place else super().cache(transformed_code, number, raw_code)
            )
        def ast_parse(self, source, filename="<unknown>", symbol="exec"):
            tree = super().ast_parse(source, filename, symbol)
            if not self.place or filename != self.place.file: return tree
            return ast.increment_lineno(tree, self.place.line - self.directives)

    class ModuleShell(CaptureShell):
        """Knows which of its cells are exported."""
        compiler_class = ModuleCompiler
        # tasks that outlived their cells; set at the end of a notebook that was run to its end
        leaks = ()
        process = os.getpid()  # that runs the cells, in a thread of its own
        def cell(self, cell, **named):
            place = places.get(cell.get("id")) if cell.cell_type == "code" else None
            assert not place or same_code(place, cell.source), (
                f"cell {cell.id} of {path.name} is not what its module holds: nbdev-export")
            if before_cell and cell.cell_type == "code":
                before_cell(cell)
            if os.getpid() != self.process:  # split off: threads do not survive that
                self.process = os.getpid()
                self.loop = asyncio.new_event_loop()
                threading.Thread(target=self.loop.run_forever, daemon=True).start()
            self.compile.place = place
            self.compile.directives = directives(cell.source)
            super().cell(cell, **named)

    nbdev.test.CaptureShell = ModuleShell
    try:
        return nbdev.test.test_nb(path.resolve(), skip_flags=SKIPPED)[0]
    finally:
        nbdev.test.CaptureShell = CaptureShell


def measure_coverage(names: list[str], folder: Path) -> int:
    """Run notebooks and test files under coverage, one after the other, and print the table.

    The number of those that failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "COVERAGE_FILE": str(folder / ".coverage"),
                   "COVERAGE_RCFILE": str(ROOT / ".coveragerc"),
                   "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    coverage = [sys.executable, "-m", "coverage"]
    failed = 0
    for name in names:
        what = (["-m", "pytest", "-q", f"tests/{name}.py"] if Path(name).name.startswith("test_")
                else ["tests/notebooks.py", name])
        code = subprocess.run(
            [*coverage, "run", f"--source={ROOT / 'brainclust'}", *what], cwd=ROOT, env=environment
        ).returncode
        print(f"{name}: {'passed' if code == 0 else f'failed ({code})'}", flush=True)
        failed += code != 0
        subprocess.run([*coverage, "combine", "-q", "--append"], cwd=ROOT, env=environment)
    subprocess.run([*coverage, "report"], cwd=ROOT, env=environment)
    return failed


def main() -> int:
    """The command line: 0 when everything passed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", help="notebooks and test files, without their endings; none: all")
    parser.add_argument("--coverage", type=Path, metavar="FOLDER",
                        help="measure the lines of the package that run; the data is kept there")
    arguments = parser.parse_args()
    notebooks = [path.relative_to(ROOT / "nbs").with_suffix("").as_posix()
                 for path in sorted((ROOT / "nbs").rglob("*.ipynb"))
                 if not set(path.parts) & {".ipynb_checkpoints"}]
    everything = notebooks + [
        path.relative_to(ROOT / "tests").with_suffix("").as_posix()
        for path in sorted(ROOT.glob("tests/**/test_*.py"))]
    names = arguments.names or everything
    unknown = sorted(set(names) - set(everything))
    if unknown:
        parser.error(f"not a notebook or test file: {' '.join(unknown)}")
    if arguments.coverage: return measure_coverage(names, arguments.coverage.resolve())
    return sum(not run_notebook(ROOT / "nbs" / f"{name}.ipynb") for name in names)


if __name__ == "__main__":
    sys.exit(main())
