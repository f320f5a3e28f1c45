"""Parsed modules: their statements, and the names that these bind and refer to."""

import ast
import symtable
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

HARNESS = frozenset({"bench", "episodes"})
"""Packages whose code belongs to no method, but to the program."""
LOOK_UP = frozenset({"eval", "exec", "globals", "__import__", "importlib"})
"""Names through which code reaches definitions that its text does not name."""
LOOK_UP_ATTRIBUTES = frozenset({"import_module", "__subclasses__", "__init_subclass__"})
"""Attributes through which it does."""
LOOK_UP_MODULES = ("importlib.", "pkgutil.", "runpy.", "builtins.")
"""Beginnings of dotted names that do, however they are imported."""
LOOK_UP_NOTHING = ("importlib.metadata.", "importlib.resources.", "importlib.util.find_spec.")
"""Those among them that say what there is and give no code, but for ``entry_points``."""
REGISTRIES = (
    "bench.method.REGISTRY",
    "bench.method.find",
    "bench.load_method",
    "bench.api.load_method",
)
"""Beginnings of dotted names through which code reaches methods of any plugin."""

DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class NoSourceError(Exception):
    """The source of a definition is not available, or has changed since it was loaded."""


@dataclass(frozen=True, eq=False)
class Module:
    """The parsed source of a module, or of a notebook cell."""

    name: str
    package: str
    """Package to which its relative imports refer."""
    statements: Sequence[ast.stmt]
    """Statements at the top level, without docstrings and plain imports."""
    bound: dict[str, list[int]]
    """Name -> indices of the statements that bind it."""
    imports: dict[str, list[tuple[str, str | None]]]
    """Name -> modules, or names in modules, to which it may refer."""
    loads: Sequence[str]
    """Modules that are imported with it."""
    looked_up: frozenset[str]
    """Names that a scope in it looks up at the top level, or among the built-ins."""
    cell: bool = False
    """Whether it is a notebook cell."""

    @property
    def of_harness(self) -> bool:
        """Whether it belongs to the harness and not to a method."""
        return self.name.partition(".")[0] in HARNESS


def parsed_module(source: str | bytes, name: str, package: str, cell: bool = False) -> Module:
    """Parse the source of a module, or of a notebook cell; see `Module`.

    Raises:
        NoSourceError: the text is not Python.
    """
    try:
        tree = ast.parse(source)
        names = frozenset(_looked_up(symtable.symtable(ast.unparse(tree), name, "exec")))
    except (SyntaxError, ValueError) as error:
        raise NoSourceError from error
    imports: dict[str, list[tuple[str, str | None]]] = {}
    for statement in tree.body:
        if not isinstance(statement, DEFINITION):
            for one, module, attribute in imported_names(statement, package):
                imports.setdefault(one, []).append((module, attribute))
    loads = {name.rpartition(".")[0], *_loaded(tree, package)} - {""}
    statements = [
        _without_docstrings(one)
        for one in tree.body
        if not isinstance(one, ast.Import | ast.ImportFrom) and not _is_text(one)
    ]
    bound: dict[str, list[int]] = {}
    for index, statement in enumerate(statements):
        for one in _bound_by(statement):
            bound.setdefault(one, []).append(index)
    return Module(name, package, statements, bound, imports, sorted(loads), names, cell)


def imported_names(tree: ast.AST, package: str = "") -> Iterator[tuple[str, str, str | None]]:
    """Yield every import in a tree: the name that it binds, the module, and the name in the module.

    The module's name is absolute if the package that contains the tree is given. An import of all
    names binds "*".
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or whole, whole, None
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            above = ".".join(base) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            for alias in node.names:
                yield alias.asname or alias.name, module, alias.name


def _loaded(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a tree imports, and imported names that may be modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
    for _, module, attribute in imported_names(tree, package):
        yield module
        yield f"{module}.{attribute}"


def _looked_up(scope: symtable.SymbolTable) -> Iterator[str]:
    for symbol in scope.get_symbols():
        if symbol.is_global() or scope.get_type() == "module":
            yield symbol.get_name()
    for inner in scope.get_children():
        yield from _looked_up(inner)


def _without_docstrings(statement: ast.stmt) -> ast.stmt:
    """Remove string statements, which have no effect."""
    for node in ast.walk(statement):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            body[:] = [one for one in body if not _is_text(one)]
    return statement


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _bound_by(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds at the top level, or more if it is nested."""
    if isinstance(statement, DEFINITION):
        return {statement.name}
    bound = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, DEFINITION):
            bound.add(node.name)
    return bound


def dumped(node: object) -> str:
    """Write a syntax tree as text, equal for all versions of Python that have its nodes."""
    if isinstance(node, list):
        return f"[{', '.join(map(dumped, node))}]"
    if isinstance(node, ast.Constant):
        return repr(node.value)
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (
        f"{name}={dumped(value)}"
        for name, value in ast.iter_fields(node)
        if value is not None and value != []
    )
    return f"{type(node).__name__}({', '.join(fields)})"


def references(statement: ast.stmt) -> set[str]:
    """Return the names in a statement, with their attributes: ``nn.functional.relu``."""
    found: set[str] = set()
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        dotted = _dotted(node)
        if dotted:
            found.add(dotted)
        else:
            waiting.extend(ast.iter_child_nodes(node))
    return found


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


@cache
def has_effects(statement: ast.stmt, module: Module) -> bool:
    """Whether a statement may have effects beyond binding its names."""
    if isinstance(statement, DEFINITION):
        return any(_is_own_decorator(one, module) for one in statement.decorator_list)
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return True
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return any(isinstance(one, ast.Call) for one in ast.walk(statement)) or not all(
        isinstance(one, ast.Name | ast.Tuple) for one in targets
    )


def _is_own_decorator(decorator: ast.expr, module: Module) -> bool:
    """Whether a decorator is not from Python or the harness, and so may have any effect."""
    roots = [node.id for node in ast.walk(decorator) if isinstance(node, ast.Name)]
    sources = [
        source.partition(".")[0] for root in roots for source, _ in module.imports.get(root, [])
    ]
    known = all(source in HARNESS or source in sys.stdlib_module_names for source in sources)
    return not known or any(root in module.bound for root in roots)


def looks_names_up(statement: ast.stmt) -> bool:
    """Whether a statement finds definitions at run time, under names that its text may not hold."""
    return any(
        (isinstance(node, ast.Name) and node.id in LOOK_UP)
        or (isinstance(node, ast.Attribute) and node.attr in LOOK_UP_ATTRIBUTES)
        or (isinstance(node, ast.FunctionDef) and node.name in LOOK_UP_ATTRIBUTES)
        or (isinstance(node, ast.keyword) and node.arg == "metaclass")
        or _dotted(node) == "sys.modules"
        for node in ast.walk(statement)
    )


def finds_code(dotted: str) -> bool:
    """Whether an imported name, such as ``importlib.import_module``, finds definitions."""
    harmless = f"{dotted}.".startswith(LOOK_UP_NOTHING) and "entry_points" not in dotted
    return f"{dotted}.".startswith(LOOK_UP_MODULES) and not harmless


def is_of_script(statement: ast.stmt) -> bool:
    """Whether a statement only runs where its file is a script: ``if __name__ == "__main__":``."""
    if not isinstance(statement, ast.If) or statement.orelse:
        return False
    return ast.unparse(statement.test) == "__name__ == '__main__'"
