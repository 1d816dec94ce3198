"""No public function goes untried: property tests call it, or untried.csv gives the reason."""
import ast
import csv
import importlib
from pathlib import Path

from house import ROOT

HERE = Path(__file__).parent


def public_functions() -> dict[str, str]:
    """Return every public function and class of the package, and the name it is called by."""
    found = {}
    for path in sorted((ROOT / "brainclust").glob("*/*.py")):
        if path.stem == "__init__": continue
        name = f"{path.parent.name}.{path.stem}"
        module = importlib.import_module(f"brainclust.{name}")
        found |= {f"{name}.{x}": x for x in module.__all__ if callable(getattr(module, x))}
    return found


def called() -> set[str]:
    """Return the names that the property tests use."""
    files = [*HERE.glob("properties/*.py"), *HERE.glob("robustness/*.py"),
             *(HERE / f"{name}.py" for name in ("assertions", "examples", "strategies"))]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    return ({node.attr for node in nodes if isinstance(node, ast.Attribute)}
            | {node.id for node in nodes if isinstance(node, ast.Name)})


def test_every_function_is_tried_or_has_a_reason():
    with open(HERE / "untried.csv", newline="", encoding="utf-8") as file:
        reasons = {row["function"]: row["reason"] for row in csv.DictReader(file)}
    functions = public_functions()
    used = called()
    untried = [path for path, name in functions.items() if name not in used]
    assert sorted(set(untried) - set(reasons)) == [], "neither tried nor excused"
    assert sorted(set(reasons) - set(functions)) == [], "excused, but gone"
    assert all(len(reason) > 15 for reason in reasons.values())
