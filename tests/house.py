"""The rules of the house that a machine can check: rooms, sizes, lines and words.

    python tests/house.py                     every violation
    python tests/house.py nbs/data tests      only those of these files and folders
"""
import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("core", "data", "synthetic", "imaging", "models", "training", "analysis", "runs", "app")
WIDTH, LINES, CELLS, NAMES, PARAMETERS = 100, 400, 60, 25, 7

# Words of our own, and the field's word that stands in their place.
WORDS = {
    r"strang(e|er|ers|eness)": "out-of-distribution",
    r"twins?": "duplicate",
    r"(near[- ]|exact )?cop(ies|ied from)": "duplicates",
    r"near[- ]copy": "near-duplicate",
    r"draw(n|ing|ings) (heads?|brains?|knees?|trunks?|slices?)|drawings?": "synthetic phantom",
    r"photograph(ed|ing)|(to|is|are) photographs?": "render, domain randomisation",
    r"heads? of every kind": "domain randomisation",
    r"answer(s|ed)?": "prediction, response, label",
    r"says|said": "predicts, outputs",
    r"generations?": "self-training round",
    r"beg(in|ins|an|un|inning) anew": "re-initialised",
    r"by heart": "memorised, overfitted",
    r"labelled[- ]only": "supervised baseline",
    r"sets? (that|which) (hold|shall hold)s?": "prediction sets, coverage",
    r"set apart": "held out",
    r"(test|training|validation) parts?": "test set, training set",
    r"shares?": "fraction",
    r"sure|unsure|doubts?|doubtful|undecided|indecision": "confident, uncertainty",
    r"rungs?|ladders?": "ablation",
    r"phase II": "linear probe, fine-tuning",
    r"seal(s|ed)?": "embedded checksum",
    r"opinions?": "patient-level aggregation",
    r"odd ones?( out)?": "outliers",
    r"suspects?": "label errors",
    r"gives? (the|its|their) class away": "shortcut, confounder",
    r"the evidence": "saliency, class activation map",
    r"the page": "web app, report",
    r"for the night|at night": "nightly",
    r"(is|are) no (?!longer\b|more\b|fewer\b|less\b|better\b|worse\b|match\b)[a-z]+": "is not a …",
}
BANNED = {word: re.compile(rf"\b(?:{word})\b", re.IGNORECASE) for word in WORDS}
OPENING = re.compile(r"(?:^|[.!?]\s)(What|Who|Where|Whatever|Whoever)\b[^.?!]*\.(?=\s|$)")
# Functions whose results belong together: `low, high = x.min(), x.max()`.
PAIRS = {"max": "min", "cos": "sin", "ones": "zeros", "load_all_outputs": "load_outputs"}
PARAMETER_NAMES = {"most", "least", "of", "said", "some", "beside", "wanted"}


class Violation(NamedTuple):
    """A place where a rule is broken."""
    place: str  # file and cell or line
    rule: str  # "room", "size", "line", "word", "opening", "name", "parameters" …
    text: str


def sources(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (place, kind, text) of a file's parts; kind is "code", "prose" or "static"."""
    if path.suffix == ".ipynb":
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            kind = {"code": "code", "markdown": "prose"}.get(cell["cell_type"])
            if kind: yield f"{path.relative_to(ROOT)} {cell['id']}", kind, "".join(cell["source"])
    elif path.suffix in (".py", ".md", ".js", ".css", ".html"):
        kind = {".py": "code", ".md": "prose"}.get(path.suffix, "static")
        yield str(path.relative_to(ROOT)), kind, path.read_text(encoding="utf-8")


def python(code: str) -> str:
    """Return a cell's code without the lines that only a notebook understands."""
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in code.split("\n"))


def comments_and_strings(code: str) -> str:
    """Return what a person reads in code: comments, docstrings and messages."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(python(code) + "\n").readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("#|"):
            found.append(token.string.lstrip("# "))
        if token.type == tokenize.STRING and " " in token.string:
            found.append(token.string.strip("rfbu\"'"))
    return "\n".join(found)


def prose(text: str) -> str:
    """Return markdown without code, addresses and the names in backticks."""
    text = re.sub(r"```.*?```", " ", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|https?://\S+|\$[^$]*\$", " ", text)
    return text


def word_violations(place: str, text: str) -> Iterator[Violation]:
    """Find words of our own and sentences that are built like none of the field."""
    for word, pattern in BANNED.items():
        for found in pattern.finditer(text):
            around = " ".join(text[max(0, found.start() - 30):found.end() + 30].split())
            yield Violation(place, "word", f"{found[0]!r} ({WORDS[word]}): … {around} …")
    for found in OPENING.finditer(text):
        yield Violation(place, "opening", " ".join(found[0].split())[:90])


def code_violations(place: str, code: str) -> Iterator[Violation]:
    """Find lines that are too long, several statements on one, and signatures that are too wide."""
    for number, line in enumerate(code.split("\n"), 1):
        if len(line) > WIDTH: yield Violation(f"{place}:{number}", "line", f"{len(line)} columns")
    for node in ast.walk(ast.parse(python(code))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            names = [a.arg for a in every if a.arg not in ("self", "cls")]
            if len(names) > PARAMETERS:
                yield Violation(f"{place}:{node.lineno}", "parameters",
                                f"{node.name} has {len(names)}")
            for name in PARAMETER_NAMES & set(names):
                yield Violation(f"{place}:{node.lineno}", "name", f"{name} of {node.name}")
        yield from statement_violations(place, node)
        yield from tuple_violations(place, node)


def kind_of(value: ast.expr) -> str:
    """Name the kind of a value: values of one kind may be assigned as a tuple."""
    if not isinstance(value, ast.Call): return type(value).__name__
    name = ast.unparse(value.func).rpartition(".")[2]
    return PAIRS.get(name, name)


def tuple_violations(place: str, node: ast.AST) -> Iterator[Violation]:
    """Find assignments of a tuple whose values have nothing in common."""
    if not isinstance(node, ast.Assign): return
    targets = node.targets[0]
    value = node.value
    if not (isinstance(targets, ast.Tuple) and isinstance(value, ast.Tuple)): return
    if len({kind_of(item) for item in value.elts}) > 1:
        yield Violation(f"{place}:{node.lineno}", "tuple", ast.unparse(targets))


def statement_violations(place: str, node: ast.AST) -> Iterator[Violation]:
    """Find blocks beside their header that are not guard clauses, and statements after `;`."""
    for field in ("body", "orelse", "finalbody"):
        body = getattr(node, field, None)
        if not isinstance(body, list) or not body: continue
        rows = [child.lineno for child in body if isinstance(child, ast.stmt)]
        if len(set(rows)) < len(rows):
            yield Violation(f"{place}:{rows[0]}", "statement", "several on a line")
        leaves = ast.Return | ast.Raise | ast.Continue | ast.Break | ast.Expr
        guard = isinstance(node, ast.If) and not node.orelse and isinstance(body[0], leaves)
        empty = isinstance(node, ast.ClassDef) and isinstance(body[0], ast.Expr | ast.Pass)
        on_header = hasattr(node, "lineno") and rows and rows[0] == node.lineno
        if on_header and not guard and not empty:
            yield Violation(f"{place}:{rows[0]}", "statement", "a block beside its header")


def size_violations(path: Path) -> Iterator[Violation]:
    """Find modules and notebooks that nobody reads to the end."""
    place = str(path.relative_to(ROOT))
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = len(json.loads(text)["cells"])
        if cells > CELLS: yield Violation(place, "size", f"{cells} cells, {CELLS} at most")
        return
    lines = text.count("\n")
    if lines > LINES: yield Violation(place, "size", f"{lines} lines, {LINES} at most")
    lists = [ast.literal_eval(node.value) for node in ast.parse(text).body
             if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    public = [name for names in lists for name in names]
    if len(public) > NAMES:
        yield Violation(place, "size", f"{len(public)} public names, {NAMES} at most")


def notebook_number(module: Path) -> int:
    """Return the number of the notebook that a module was exported from."""
    found = re.search(r"File to edit: \S*/(\d+)_\w+\.ipynb", module.read_text(encoding="utf-8"))
    return int(found[1]) if found else -1


def room_violations(package: Path = ROOT / "brainclust") -> Iterator[Violation]:
    """Find imports, at any depth of the code, that go to a room below or to a later notebook."""
    place = {}
    for module in sorted(package.glob("*/*.py")):
        if module.stem != "__init__":
            order = ROOMS.index(module.parent.name), notebook_number(module)
            place[f"brainclust.{module.parent.name}.{module.stem}"] = order
    for module in sorted(package.glob("*/*.py")):
        own = f"brainclust.{module.parent.name}.{module.stem}"
        if own not in place: continue
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom): continue
            room = [module.parent.name] if node.level == 1 else []
            base = ".".join(["brainclust", *room, *(node.module or "").split(".")])
            names = [node.module or ""] if not node.level else [base.rstrip(".")]
            names += [f"{names[0]}.{alias.name}" for alias in node.names]
            for name in names:
                if name in place and place[name] >= place[own]:
                    yield Violation(f"{own}:{node.lineno}", "room", f"imports {name}")


def all_files() -> list[Path]:
    """Return every notebook, module, static file, test and document of the project."""
    folders = ("nbs", "brainclust", "tests")
    suffixes = (".ipynb", ".py", ".md", ".js", ".css", ".html")
    results = [ROOT / "nbs" / "runs" / "*" / "*", ROOT / "nbs" / "experiments" / "runs" / "*"]
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*"))
             if path.suffix in suffixes and ".ipynb_checkpoints" not in path.parts
             and not any(path.match(str(pattern)) for pattern in results)]
    return [path for path in found if path.name != "_modidx.py"] + sorted(ROOT.glob("*.md"))


def violations(paths: list[Path] | None = None) -> Iterator[Violation]:
    """Check files, or all of them."""
    for path in all_files() if paths is None else paths:
        in_package = path.is_relative_to(ROOT / "brainclust")
        if path.suffix == ".ipynb" or in_package and path.suffix == ".py":
            yield from size_violations(path)
        if in_package and path.suffix == ".py": continue  # its notebook is checked
        for place, kind, text in sources(path):
            if kind == "code": yield from code_violations(place, text)
            if path.name in ("house.py", "test_house.py"): continue  # they quote banned words
            readable = comments_and_strings(text) if kind == "code" else prose(text)
            yield from word_violations(place, text if kind == "static" else readable)


def main() -> int:
    """Print the violations in the files and folders that are named; 1 if there are any."""
    paths = [Path(word).resolve() for word in sys.argv[1:]]
    chosen = [path for path in all_files()
              if not paths or any(path.is_relative_to(p) for p in paths)]
    found = list(violations(chosen)) + ([] if paths else list(room_violations()))
    for violation in found:
        print(*violation, sep="  ")
    return bool(found)


if __name__ == "__main__": sys.exit(main())
