"""The interface as the site shows it: signatures, docstrings and docments of every module."""
import ast
import importlib
import io
import re
import tokenize
from collections import Counter
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from fastcore.docments import docments

ROOT = Path(__file__).resolve().parents[2]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """An exported module, read but not imported."""
    name: str  # such as core.config
    tree: ast.Module
    source: str
    public: list[str]  # the names of __all__
    notebook: str  # that it was exported from, seen from nbs
    types: dict[str, str]  # the full names of the classes that it uses


def full_names(tree: ast.Module, name: str) -> dict[str, str]:
    """Return the full names of the classes that a module defines, and of what it imports."""
    room = name.rpartition(".")[0]
    found = {node.name: f"brainclust.{name}.{node.name}" for node in tree.body
             if isinstance(node, ast.ClassDef)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom): continue
        base = {0: "", 1: f"brainclust.{room}.", 2: "brainclust."}[node.level] + (node.module or "")
        found |= {alias.name: f"{base}.{alias.name}" for alias in node.names}
    return found


def read_module(path: Path) -> Module:
    """Read an exported module."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    public = next(ast.literal_eval(node.value) for node in tree.body
                  if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    notebook = re.search(r"File to edit: (?:\.\./)+nbs/(\S+\.ipynb)", source)[1]
    name = ".".join(path.relative_to(ROOT / "brainclust").with_suffix("").parts)
    return Module(name, tree, source, public, notebook, full_names(tree, name))


def read_modules(room: str) -> list[Module]:
    """Read the modules of a room that export something, in the order of their notebooks."""
    paths = (ROOT / "brainclust" / room).glob("*.py")
    modules = [read_module(path) for path in paths if path.stem != "__init__"]
    return sorted((m for m in modules if m.public or patched(m)), key=lambda m: m.notebook)


def plain(text: str) -> str:
    """Escape what Markdown would read as markup, but not in code."""
    return re.sub(r"(`[^`]*`)|([\\<*$\[\]{_])", lambda m: m[1] or "\\" + m[2], text)


def table(
    rows: list[dict[str, str]],  # all with the same keys, which are the columns
) -> str:
    """Return rows as a Markdown table, without its empty columns."""
    columns = [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]
    if not columns: return ""
    line = lambda cells: "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
    rule = "|" + " --- |" * len(columns)
    return "\n".join([line(columns), rule, *(line(row[c] for c in columns) for row in rows)])


def code(node: ast.expr | None) -> str:
    """Return an expression as code in a line of Markdown; nothing of nothing."""
    return f"`{ast.unparse(node)}`" if node is not None else ""


def row(name: str, kind: ast.expr | None, default: ast.expr | None, text: str | None) -> dict:
    """Return a parameter's row of a table."""
    return {"name": f"`{name}`", "type": code(kind), "default": code(default),
            "description": plain(" ".join((text or "").split()))}


def parameters(
    node: FunctionNode,
    function: Any,  # the live function, whose docments are read
) -> str:
    """Return the table of a function's parameters and of its result; empty without comments."""
    comments = docments(function, args_kwargs=True)
    spec = node.args
    listed = [*spec.posonlyargs, *spec.args]
    defaults = [None] * (len(listed) - len(spec.defaults)) + spec.defaults
    pairs = [*zip(listed, defaults), *zip(spec.kwonlyargs, spec.kw_defaults)]
    rows = [row(one.arg, one.annotation, default, comments.get(one.arg))
            for one, default in pairs if one.arg not in ("self", "cls")]
    rows += [row(mark + one.arg, one.annotation, None, comments.get(one.arg))
             for mark, one in (("*", spec.vararg), ("**", spec.kwarg)) if one]
    if comments.get("return"):
        rows.append({**row("", node.returns, None, comments["return"]), "name": "returns"})
    return table(rows) if any(one["description"] for one in rows) else ""


def full_types(node: ast.expr | None, types: dict[str, str]) -> str:
    """Return a type as code in which classes have their full names."""
    if node is None: return ""
    tree = ast.parse(ast.unparse(node), mode="eval")
    for name in (node for node in ast.walk(tree) if isinstance(node, ast.Name)):
        name.id = types.get(name.id, name.id)
    return ast.unparse(tree)


def signature(node: FunctionNode, types: dict[str, str]) -> str:
    """Return a function's name, parameters and type of result on one line."""
    spec = ast.parse(ast.unparse(node)).body[0].args  # nobody else sees the changes below
    for group in (spec.posonlyargs, spec.args):
        if group and group[0].arg in ("self", "cls"): group.pop(0)
    for one in ast.walk(spec):
        if isinstance(one, ast.arg) and one.annotation:
            one.annotation = ast.Name(full_types(one.annotation, types))
    result = f" -> {full_types(node.returns, types)}" if node.returns else ""
    return f"{node.name}({ast.unparse(spec)}){result}"


def comments_of(source: str) -> tuple[dict[int, str], dict[int, str]]:
    """Return the comments beside code and those on lines of their own, by line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    found = [token for token in tokens if token.type == tokenize.COMMENT]
    alone = [token for token in found if token.line.strip() == token.string.strip()]
    text = lambda chosen: {token.start[0]: token.string.lstrip("# ") for token in chosen}
    return text(token for token in found if token not in alone), text(alone)


def fields(node: ast.ClassDef, module: Module) -> str:
    """Return the table of a class's annotated fields, with the comments beside or above them."""
    beside, alone = comments_of(module.source)
    rows = []
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or field.target.id[0] == "_": continue
        above = list(takewhile(alone.__contains__, range(field.lineno - 1, 0, -1)))[::-1]
        text = beside.get(field.end_lineno) or " ".join(map(alone.get, above))
        rows.append(row(field.target.id, field.annotation, field.value, text))
    return table(rows)


def directive(kind: str, head: str, *parts: str, options: str = "", fence: str = ":::") -> str:
    """Return a directive of MyST that describes an object."""
    body = "\n\n".join(part for part in parts if part)
    return f"{fence}{{py:{kind}}} {head}\n{options}\n{body}\n{fence}"


def docstring(node: ast.AST) -> str:
    """Return a docstring as Markdown, the errors that are raised in a paragraph of their own."""
    text = ast.get_docstring(node) or ""
    return re.sub(r"\s*\bRaises: ", "\n\n**Raises:** ", plain(text)).strip()


def patched(module: Module) -> list[tuple[str, FunctionNode]]:
    """List the public methods that cells of a module patch into classes, each with its class."""
    return [(ast.unparse(node.args.args[0].annotation), node) for node in module.tree.body
            if isinstance(node, FunctionNode) and not node.name.startswith("_")
            and any("patch" in ast.unparse(mark) for mark in node.decorator_list)]


def methods(node: ast.ClassDef, module: Module) -> list[FunctionNode]:
    """List a class's public methods, the patched ones among them."""
    own = [one for one in node.body if isinstance(one, FunctionNode) and one.name[0] != "_"]
    return own + [one for name, one in patched(module) if name == node.name]


def method_directive(
    node: FunctionNode,
    module: Module,
    live: type,  # the class
    prefix: str = "",  # before the name, such as "Trainer.", outside of the class's description
) -> str:
    """Describe a method of a class."""
    marks = {ast.unparse(mark).rpartition(".")[2] for mark in node.decorator_list}
    if {"property", "cached_property", "patch(as_prop=True)"} & marks:
        return directive("property", prefix + node.name, docstring(node))
    if "patch(cls_method=True)" in marks: marks.add("classmethod")
    options = "".join(f":{mark}:\n" for mark in ("classmethod", "staticmethod") if mark in marks)
    return directive("method", prefix + signature(node, module.types), docstring(node),
                     parameters(node, getattr(live, node.name)), options=options)


def class_directive(node: ast.ClassDef, module: Module, live: type) -> str:
    """Describe a class: how it is made, its fields and its methods."""
    made = next((one for one in node.body
                 if isinstance(one, FunctionNode) and one.name == "__init__"), None)
    head = node.name
    if made:
        head += signature(made, module.types).removeprefix("__init__").removesuffix(" -> None")
    bases = ", ".join(f"`{ast.unparse(base)}`" for base in node.bases)
    return directive("class", head, f"Bases: {bases}" if bases else "", docstring(node),
                     parameters(made, live.__init__) if made else "", fields(node, module),
                     *(method_directive(one, module, live) for one in methods(node, module)),
                     fence="::::")


def data_directive(name: str, module: Module) -> str:
    """Describe a constant, with its value if that is short."""
    for node in module.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = {part.id for target in targets if target is not None
                 for part in ast.walk(target) if isinstance(part, ast.Name)}
        if name not in names: continue
        line = module.source.splitlines()[node.end_lineno - 1]
        comment = re.search(r"  # (.+)$", line)
        value = ast.unparse(node.value)
        short = f":value: {value}\n" if len(value) <= 80 and len(names) == 1 else ""
        return directive("data", name, plain(comment[1]) if comment else "", options=short)
    raise ValueError(f"{module.name} must define {name}, which its __all__ names. Export it again.")


def describe(name: str, module: Module, live: Any) -> str:
    """Describe a public name of a module."""
    node = next((node for node in module.tree.body if getattr(node, "name", None) == name), None)
    if isinstance(node, ast.ClassDef): return class_directive(node, module, live)
    if not isinstance(node, FunctionNode): return data_directive(name, module)
    return directive("function", signature(node, module.types), docstring(node),
                     parameters(node, live))


def module_page(module: Module) -> str:
    """Return a page on a module, which is imported for its docments."""
    live = importlib.import_module(f"brainclust.{module.name}")
    up = "../" * (module.name.count(".") + 1)
    head = directive("module", f"brainclust.{module.name}")
    link = f"Explained and tested in its [notebook]({up}{module.notebook})."
    parts = [describe(name, module, getattr(live, name)) for name in module.public]
    parts += [method_directive(node, module, getattr(live, name), f"{name}.")
              for name, node in patched(module) if name not in module.public]
    title = f"# {module.name}"
    return "\n\n".join([title, head, docstring(module.tree), link, *parts]) + "\n"


def public_names(modules: list[Module]) -> dict[str, str]:
    """Return where the names are described that prose links to.

    They are those of one module alone, and unlike words: with `_` or a capital inside.
    """
    every = Counter(name for module in modules for name in module.public)
    unlike = lambda name: "_" in name or re.search(r"[a-z][A-Z]", name)
    return {name: f"brainclust.{module.name}.{name}" for module in modules
            for name in module.public if every[name] == 1 and unlike(name)}
