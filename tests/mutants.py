"""Plant small faults in modules, one at a time, and run notebooks and tests that may notice them.

    python tests/mutants.py                               nightly: the first hundred faults
    python tests/mutants.py --draw 1 --csv table.csv      the second hundred; writes the table
    python tests/mutants.py --again table.csv             the faults of a table that still exist
    python tests/mutants.py --modules models/losses --number 25     only in one module
    python tests/mutants.py --brief                       only its notebook and property tests

A test that notices a fault kills it. Faults are drawn place by place in an order that depends on
the code alone, so that two draws never meet in a place. Each fault first meets its module's own
notebook, then the property tests that import the module, then the training notebook and two more
test files. A survivor is either killed by a new test or listed in `equivalent_mutants.csv` with
the reason why no test can notice it.
"""
import argparse
import ast
import copy
import csv
import hashlib
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from notebooks import ROOT, exported_cells, run_notebook

NOTEBOOKS = {"data/duplicates": "data/23_duplicates", "data/splits": "data/24_splits",
             "data/cleaning": "data/25_cleaning", "models/mixture": "models/01_mixture",
             "models/losses": "models/02_losses", "core/metrics": "core/08_metrics"}
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.csv")
# times the processor seconds that the unchanged code takes, after which a fault counts as noticed
PATIENCE = 4
HANGING = 1800  # seconds after which something that does nothing counts as noticed
MEMORY = 16 << 30  # bytes that a fault may take

COMPARISONS = {ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt),
               ast.GtE: (ast.Gt, ast.LtE), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
               ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
               ast.NotIn: (ast.In,)}
OPERATIONS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
              ast.FloorDiv: ast.Mod, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
              ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
              ast.BitOr: ast.BitAnd}
PAIRS = [("min", "max"), ("mean", "sum"), ("floor", "ceil"), ("argmax", "argmin"),
         ("idxmax", "idxmin"), ("any", "all"), ("zeros", "ones"), ("zeros_like", "ones_like"),
         ("minimum", "maximum"), ("head", "tail"), ("clamp_min", "clamp_max"), ("var", "std"),
         ("square", "abs"), ("sqrt", "square"), ("exp", "log"), ("outer", "add")]
NAMES = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
NEEDLESS = {"copy", "clip", "clamp_min", "astype", "reset_index", "sort_values", "sort_index",
            "drop_duplicates", "cumsum", "sqrt", "square", "abs", "fillna", "double", "float",
            "sort", "sorted", "set", "round", "unique", "to", "cpu", "where", "sub", "head",
            "tolil", "swapaxes"}  # calls that may be left out


def module_source(module: str) -> bytes:
    """The text of a module."""
    return (ROOT / "brainclust" / f"{module}.py").read_bytes()


class Mutant(NamedTuple):
    """One small fault."""
    module: str
    function: str  # or class, or nothing
    line: int
    change: str  # before and after
    start: int  # bytes of the module replaced
    end: int
    text: str  # by this

    def name(self) -> str:
        """What the fault is called whatever the lines around it do."""
        return f"{self.module}.{self.function or '(module)'}: {self.change}"

    def applied(self, source: bytes) -> bytes:
        """The module with its fault."""
        return source[:self.start] + self.text.encode() + source[self.end:]


# --- the faults -----------------------------------------------------------------------------------

def is_text(node: ast.AST) -> bool:
    """Whether an operand is a text or a list, for which arithmetic means something else."""
    return (isinstance(node, (ast.JoinedStr, ast.List)) or isinstance(node, ast.Constant)
            and isinstance(node.value, str))


def changed(node: ast.AST, **fields) -> ast.AST:
    """A copy of a node with other fields."""
    other = copy.deepcopy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def swapped(items: list, first: int) -> list:
    """A list with two neighbours exchanged."""
    return [*items[:first], items[first + 1], items[first], *items[first + 2:]]


def replaced(items: list, place: int, *others) -> list:
    """A list with one item exchanged for others, or for none."""
    return [*items[:place], *others, *items[place + 1:]]


def of_number(node: ast.Constant) -> Iterator[ast.AST]:
    """A constant, one more, one less, nothing and doubled; a truth value reversed."""
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, (int, float)):
        for value in dict.fromkeys(
            (node.value + 1, node.value - 1, type(node.value)(0), 2 * node.value)):
            if value != node.value:
                yield ast.Constant(value)


def of_call(node: ast.Call) -> Iterator[ast.AST]:
    """A call under another name, with a keyword or the whole call left out, with two arguments
    exchanged, along the other axis.
    """
    name = (node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if isinstance(node.func, ast.Name) else "")
    if name in NAMES:
        yield changed(
            node,
            func=changed(
                node.func, **{"attr" if isinstance(node.func, ast.Attribute) else "id": NAMES[name]}
            ))
    if name in NEEDLESS:
        yield (node.args[0] if node.args and isinstance(node.func, ast.Name)
               else getattr(node.func, "value", node))
    for place in range(len(node.keywords)):
        yield changed(node, keywords=replaced(node.keywords, place))
    for place in range(len(node.args) - 1):
        if not any(isinstance(argument, ast.Starred) for argument in node.args[place:place + 2]):
            yield changed(node, args=swapped(node.args, place))


def of_slice(node: ast.Slice) -> Iterator[ast.AST]:
    """A slice that begins one later or ends one earlier."""
    one = ast.Constant(1)
    if not isinstance(node.lower, (ast.Constant, ast.UnaryOp)):
        yield changed(node, lower=ast.BinOp(node.lower, ast.Add(), one) if node.lower else one)
    if not isinstance(node.upper, (ast.Constant, ast.UnaryOp)):
        yield changed(node, upper=ast.BinOp(node.upper, ast.Sub(), one) if node.upper
                      else ast.UnaryOp(ast.USub(), one))


def faults(node: ast.AST) -> Iterator[ast.AST]:
    """Return what may stand in a node's place."""
    match node:
        case ast.Compare():
            for place, operation in enumerate(node.ops):
                for other in COMPARISONS[type(operation)]:
                    yield changed(node, ops=replaced(node.ops, place, other()))
        case ast.BinOp(left=left, op=operation, right=right) if not is_text(left) and not is_text(
            right):
            if type(operation) in OPERATIONS:
                yield changed(node, op=OPERATIONS[type(operation)]())
            yield from (left, right)
        case ast.AugAssign(op=operation, value=value) if not is_text(value):
            yield ast.Pass()
            if type(operation) in OPERATIONS:
                yield changed(node, op=OPERATIONS[type(operation)]())
        case ast.Constant():
            yield from of_number(node)
        case ast.BoolOp(op=operation, values=values):
            yield changed(node, op=ast.Or() if isinstance(operation, ast.And) else ast.And())
            for place in range(len(values)):
                yield (changed(node, values=replaced(values, place)) if len(values) > 2
                       else values[1 - place])
        case ast.UnaryOp(op=ast.Not() | ast.Invert() | ast.USub(), operand=operand):
            yield operand
        case ast.IfExp(body=body, orelse=otherwise):
            yield from (body, otherwise)
        case ast.Slice():
            yield from of_slice(node)
        case ast.Call():
            yield from of_call(node)
        case ast.Return(value=ast.Tuple(elts=parts) as value):
            for place in range(len(parts) - 1):
                yield changed(node, value=changed(value, elts=swapped(parts, place)))
        case (
            ast.If(orelse=[]) | ast.Break() | ast.Continue() | ast.Assign(targets=[ast.Subscript()])
        ):
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield changed(node, test=ast.UnaryOp(ast.Not(), test))


def of_no_account(node: ast.AST) -> bool:
    """Whether nothing below a node decides a result.

    Texts of messages, progress bars, type annotations, imports, names to export.
    """
    match node:
        case (ast.JoinedStr() | ast.Raise() | ast.Import() | ast.ImportFrom()
              | ast.Expr(value=ast.Constant())):
            return True
        case ast.Call(func=ast.Name(id="tqdm")
                      | ast.Attribute(value=ast.Name(id="bar"), attr="update")
                      | ast.Attribute(value=ast.Name(id="warnings"))):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="bar")))):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
    return False


def places(node: ast.AST, function: str = "") -> Iterator[tuple[ast.AST, str]]:
    """Every node that may be changed, and the function that it is in."""
    if of_no_account(node): return
    yield node, function
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        function = f"{function}.{node.name}".lstrip(".")
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"): continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from places(child, function)


def all_mutants(module: str) -> list[list[Mutant]]:
    """The faults of a module, those of one place together."""
    source = module_source(module)
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = source.decode().splitlines()
    found = []
    seen = {}
    for node, function in places(ast.parse(source)):
        at_place = []
        for other in faults(node):
            text = ast.unparse(ast.fix_missing_locations(other))
            if isinstance(other, ast.expr) and not isinstance(
                other, (ast.Slice, ast.Constant, ast.Name)):
                text = f"({text})"
            start, end = (starts[node.lineno - 1] + node.col_offset,
                          starts[node.end_lineno - 1] + node.end_col_offset)
            mutant = Mutant(
                module, function, node.lineno, f"{ast.unparse(node)} -> {text}", start, end, text)
            seen[mutant.name()] = number = seen.get(mutant.name(), 0) + 1
            at_place.append(
                mutant if number == 1
                else mutant._replace(
                    change=f"{mutant.change} (number {number}: {lines[node.lineno - 1].strip()})"))
        if at_place:
            found.append(at_place)
    return found


def is_fault(mutant: Mutant) -> bool:
    """Whether a change leaves Python, and another program than before."""
    source = module_source(mutant.module)
    try:
        return ast.dump(ast.parse(mutant.applied(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def drawn(module: str, number: int, draw: int) -> list[Mutant]:
    """One fault at each of some places, in the order of a hash.

    Later draws go on where earlier ones end.
    """
    rank = lambda mutant: hashlib.sha256(mutant.name().encode()).hexdigest()
    ranked = sorted((sorted(at_place, key=rank) for at_place in all_mutants(module)),
                    key=lambda at_place: rank(at_place[0]))
    chosen = (mutant for at_place in ranked for mutant in list(filter(is_fault, at_place))[:1])
    return list(islice(chosen, draw * number, (draw + 1) * number))


def of_table(table: Path, modules: list[str]) -> list[Mutant]:
    """The faults of a table whose code is still there."""
    with open(table, encoding="utf-8", newline="") as file:
        names = {row["mutant"] for row in csv.DictReader(file)}
    return [mutant for module in modules for at_place in all_mutants(module) for mutant in at_place
            if mutant.name() in names]


# --- who notices ----------------------------------------------------------------------------------

def wait_for(process: int, seconds: float) -> tuple[str, float]:
    """How a process ended.

    "" well, "failed", or "timeout", and its processor seconds; one that hangs is ended with all
    that it started.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status, usage = os.wait4(process, os.WNOHANG)
        if done:
            return "" if status == 0 else "timeout" if os.WIFSIGNALED(status) and os.WTERMSIG(
                status) == signal.SIGXCPU else "failed", usage.ru_utime + usage.ru_stime
        time.sleep(.02)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return "timeout", seconds


def alone(folder: str, seconds: float) -> None:
    """Give this process a group, a cache and a place for temporary files of its own, no output,
    bounded memory and bounded processor time.
    """
    os.setpgid(0, 0)
    os.environ["BRAINCLUST_CACHE"] = f"{folder}/cache"
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = folder
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + seconds),) * 2)
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def mutated_cell(mutant: Mutant) -> tuple[str, str]:
    """The id and the faulty source of the cell that a fault is in.

    Nbdev's shorter imports matter in no cell with faults.
    """
    before = module_source(mutant.module)
    after = mutant.applied(module_source(mutant.module))
    for cell, place in exported_cells(NOTEBOOKS[mutant.module]).items():
        if place.line < mutant.line <= place.line + len(place.lines):
            longer = after.count(b"\n") - before.count(b"\n")
            return cell, "\n".join(
                after.decode().splitlines()[place.line : place.line + len(place.lines) + longer])


def ask_notebook(module: str, mutants: list[Mutant]) -> dict[str, str]:
    """Run a module's own notebook with each fault, in a process forked after the imports.

    Return the verdicts by the fault's name: "" where it passed, "failed" or "timeout".
    """
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"  # threads do not survive the split
    imports, *_ = exported_cells(NOTEBOOKS[module])
    # `faulty`: the cell to change, in a process split off
    result = {}
    imported = False
    asked = False
    faulty = {}

    def before_cell(cell) -> None:
        """Split the processes off before the first cell behind the imports.

        There is nothing left to run here then.
        """
        nonlocal imported, asked, child
        if child:
            cell.source = faulty.get(cell.get("id"), cell.source)
        elif asked:
            cell.source = ""
        elif imported:
            asked = True
            patience = HANGING
            for mutant in (None, *mutants):
                folder = tempfile.mkdtemp()
                process = os.fork()
                if process == 0:
                    child = True
                    if mutant:
                        faulty.update([mutated_cell(mutant)])
                    return alone(folder, patience)
                verdict, used = wait_for(process, HANGING)
                shutil.rmtree(folder, ignore_errors=True)
                if mutant:
                    result[mutant.name()] = verdict
                    print(f"  {mutant.name()}: {verdict or 'unnoticed'}", flush=True)
                else:
                    assert verdict == "", (
                        f"the unchanged notebook of {module} {verdict} in a process split off")
                    patience = PATIENCE * used + 10
            cell.source = ""
        imported = imported or cell.get("id") == imports
    child = False
    passed = run_notebook(ROOT / "nbs" / f"{NOTEBOOKS[module]}.ipynb", before_cell)
    if child:
        os._exit(not passed)
    return result


def imported_modules(path: Path) -> set[str]:
    """Return the modules of the package that a file imports, such as "models.mixture"."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
             if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("brainclust.")]
    names = [name for node in nodes
             for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))]
    return {name.removeprefix("brainclust.") for name in names}


def commands(module: str, brief: bool) -> dict[str, list[str]]:
    """Return the commands that run, in order, when the module's notebook did not notice."""
    users = [path for folder in ("properties", "robustness")
             for path in sorted((ROOT / "tests" / folder).glob("test_*.py"))
             if module.replace("/", ".") in imported_modules(path)]
    tests = lambda *paths: [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
                            *map(str, paths)]
    asked = {"property tests": tests(*users)} if users else {}
    if not brief:
        asked["06_self_training"] = [sys.executable, str(ROOT / "tests" / "notebooks.py"),
                                     "training/06_self_training"]
        asked |= {name: tests(ROOT / "tests" / f"{name}.py")
                  for name in ("robustness/test_scan_folders", "test_audit")}
    return asked


def passes(command: list[str], package: Path, seconds: float) -> tuple[str, float]:
    """Run a command with a package from another folder.

    "" when it passes, else what is wrong; and the processor seconds.
    """
    with tempfile.TemporaryDirectory() as temporary:
        environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1",
                       "HYPOTHESIS_PROFILE": "brief", "BRAINCLUST_CACHE": f"{temporary}/cache",
                       "TMPDIR": temporary}
        return wait_for(
            subprocess.Popen(
                command, cwd=package, env=environment, preexec_fn=lambda: alone(temporary, seconds)
            ).pid, HANGING)


def ask_others(mutants: list[Mutant], brief: bool) -> dict[str, str]:
    """Let tests that import a module meet each fault in a copy of the package.

    Who noticed it, by the fault's name, "" when none did.
    """
    result, patience = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "brainclust"
        shutil.copytree(ROOT / "brainclust", package, ignore=shutil.ignore_patterns("__pycache__"))
        for name, command in {name: command for mutant in mutants
                              for name, command in commands(mutant.module, brief).items()}.items():
            verdict, used = passes(command, Path(folder), HANGING)
            assert verdict == "", f"{name} fails on the unchanged package"
            patience[name] = PATIENCE * used + 10
        for mutant in mutants:
            file = package / f"{mutant.module}.py"
            source = file.read_bytes()
            file.write_bytes(mutant.applied(source))
            verdicts = ((name, passes(command, Path(folder), patience[name])[0])
                        for name, command in commands(mutant.module, brief).items())
            result[mutant.name()] = next((name if verdict == "failed" else f"{name} ({verdict})"
                                          for name, verdict in verdicts if verdict), "")
            file.write_bytes(source)
            print(f"  {mutant.name()}: {result[mutant.name()] or 'survives'}", flush=True)
    return result


def equivalent() -> dict[str, str]:
    """Why no test can notice a fault, by its name."""
    with open(EQUIVALENT, encoding="utf-8", newline="") as file:
        return {row["mutant"]: row["reason"] for row in csv.DictReader(file)}


def ask_all(mutants: list[Mutant], brief: bool = False) -> list[dict]:
    """A row per fault.

    Mutant, line, killed_by ("": it survives), reason (why nobody can notice it).
    """
    noticed = {}
    for module in dict.fromkeys(mutant.module for mutant in mutants):
        with ProcessPoolExecutor(1) as pool:  # a notebook leaves much behind
            verdicts = pool.submit(
                ask_notebook, module, [mutant for mutant in mutants if mutant.module == module]
            ).result()
        own = NOTEBOOKS[module]
        noticed |= {name: {"failed": own, "timeout": f"{own} (timeout)"}.get(verdict, "")
                    for name, verdict in verdicts.items()}
        print(f"{own}: notices {sum(map(bool, verdicts.values()))} of {len(verdicts)}", flush=True)
    reasons = equivalent()
    unseen = [
        mutant for mutant in mutants if not noticed[mutant.name()] and mutant.name() not in reasons]
    noticed |= ask_others(unseen, brief)
    return [{"mutant": mutant.name(), "line": mutant.line, "killed_by": noticed[mutant.name()],
             "reason": reasons.get(mutant.name(), "")} for mutant in mutants]


def main() -> int:
    """The command line: 0 when enough of the faults are noticed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", nargs="+", choices=NOTEBOOKS, default=list(NOTEBOOKS))
    parser.add_argument("--number", type=int, default=25, help="faults per module")
    parser.add_argument("--draw", type=int, default=0, help="which draw, from 0")
    parser.add_argument(
        "--again", type=Path, metavar="TABLE", help="instead of a draw, the faults of this table")
    parser.add_argument(
        "--brief", action="store_true", help="ask only the module's notebook and its property tests"
    )
    parser.add_argument("--minimum", type=float, default=.85, help="fraction that must be killed")
    parser.add_argument("--csv", type=Path, help="where the table is written")
    arguments = parser.parse_args()
    if arguments.again:
        mutants = of_table(arguments.again, arguments.modules)
    else:
        mutants = [mutant for module in arguments.modules
                   for mutant in drawn(module, arguments.number, arguments.draw)]
    rows = ask_all(mutants, arguments.brief)
    if arguments.csv:
        with open(arguments.csv, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["mutant", "line", "killed_by", "reason"])
            writer.writeheader()
            writer.writerows(rows)
    for row in rows:
        print(f"{row['mutant']} (line {row['line']}): "
              f"{row['killed_by'] or row['reason'] or 'SURVIVES'}")
    killed, same = (sum(bool(row["killed_by"]) for row in rows),
                    sum(not row["killed_by"] and bool(row["reason"]) for row in rows))
    print(f"{len(rows)} mutants: {killed} killed ({killed / len(rows):.0%}), {same} equivalent, "
          f"{len(rows) - killed - same} survive; "
          f"{killed / (len(rows) - same):.0%} of those that can be killed")
    return int(killed < arguments.minimum * (len(rows) - same))


if __name__ == "__main__":
    sys.exit(main())
