"""The hash of what code means: where it is the same, so are the definitions that computed.

It is taken over the definitions that a class can reach, not over files. Each definition counts by
its syntax tree, without comments, docstrings and layout, and by what every name in it stands for:
another definition of the same home, or something imported from elsewhere. So a file may be renamed
or reformatted, and definitions moved between files, and the hash stays; change a definition that
is reached, however far away, and it does not.

Where that cannot be decided from the text, too much is hashed rather than too little. Statements
that do something when a module is imported (calls, loops, conditions, assignments to attributes,
classes under a decorator of the method's own) count wherever their module is imported, and code
that looks names up while it runs (`eval`, `importlib`, `__subclasses__`, ...) counts together with
every file of its home.

What code reads from other files, and the versions of installed packages, are not covered.
"""

import ast
import builtins
import hashlib
import importlib.util
import inspect
import linecache
import symtable
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import FunctionType, ModuleType

HARNESS = frozenset({"bench", "episodes"})
"""Packages whose code belongs to no method: their revisions are of the whole program."""
CATALOGUE = "methods"
"""The package whose code counts wherever it is imported."""
LOOK_UP = frozenset({"eval", "exec", "globals", "__import__", "importlib"})
"""Names by which code reaches definitions that its text does not name..."""
LOOK_UP_ATTRIBUTES = frozenset({"import_module", "__subclasses__", "__init_subclass__"})
"""...and attributes."""
PLAIN = (int, float, complex, str, bytes, bool, type(None))
"""What a variable of a notebook may hold for its value to stand in for its source."""

DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

Definition = type | Callable[..., object]
_stamps: dict[str, tuple[int, int]] = {}


class _NoSourceError(Exception):
    """The text of a definition is not available, or not the text that was loaded."""


def meaning_sha256(starts: Iterable[Definition]) -> str | None:
    """Hash of classes and functions, and of all that they reach in their homes.

    A home is the top-level package of a module, its distribution, and further source on this
    machine that no distribution brings; for every module also `methods`, and never the harness
    itself, unless a definition of the harness is among the starts.

    Returns:
        None where the source cannot be had, as for a class that was typed into an interpreter, has
        changed since it was loaded, or is nested too deeply to be walked. Nothing may be reused
        then.
    """
    try:
        return _Reached().hash_of(starts)
    except (_NoSourceError, RecursionError):
        return None


def of_harness(definition: Definition) -> bool:
    """Whether a definition belongs to this program and not to one of its methods."""
    return definition.__module__.partition(".")[0] in HARNESS


def remember_loaded() -> None:
    """Note how the files of all loaded modules look: source that changes later is not theirs."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file not in _stamps and (stamp := _stamp(file)):
            _stamps[file] = stamp


def imported_names(tree: ast.AST, package: str = "") -> Iterator[tuple[str, str, str | None]]:
    """Every import in a tree: the name it binds, the module, and which name of that module.

    The name of the module is absolute if ``package``, in which the tree stands, is known. It binds
    "*" where all names are imported.
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


@dataclass(frozen=True, eq=False)
class _Module:
    """A module's text, or that of a cell of a notebook."""

    name: str
    package: str
    """In which its relative imports begin."""
    statements: Sequence[ast.stmt]
    """At the top level, without docstrings and plain imports."""
    bound: dict[str, list[int]]
    """Name -> statements that bind it."""
    imports: dict[str, list[tuple[str, str | None]]]
    """Name -> modules, or names of modules, that it may stand for."""
    loads: Sequence[str]
    """Modules that are imported with it."""
    looked_up: frozenset[str]
    """Names that some scope in it looks up at the top level, or among Python's own."""
    cell: bool = False

    @property
    def of_harness(self) -> bool:
        return self.name.partition(".")[0] in HARNESS


class _Reached:
    """The definitions reached so far, numbered in the order in which they are met."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[_Module, int], int] = {}
        self._order: list[tuple[_Module, int]] = []
        self._touched: set[_Module] = set()
        self._taken: set[str] = set()
        self._seeking: set[tuple[_Module, str]] = set()

    def hash_of(self, starts: Iterable[Definition]) -> str:
        for start in starts:
            module, name = _place(start)
            self._touch(module)
            if not self._named(module, name):
                self._whole(module)
        digest = hashlib.sha256()
        for module, index in self._order:  # which grows meanwhile
            digest.update(self._record(module, module.statements[index]).encode())
        return digest.hexdigest()

    def _record(self, module: _Module, statement: ast.stmt) -> str:
        """A statement, and what the names in it stand for: numbers of others, or words."""
        if _looks_names_up(statement):
            self._take_home(module)
        own: dict[str, list[tuple[str, str | None]]] = {}
        for bound, source, attribute in imported_names(statement, module.package):
            own.setdefault(bound, []).append((source, attribute))
        meanings = [
            (reference, found)
            for reference in sorted(_references(statement))
            if (first := reference.partition(".")[0]) in own or first in module.looked_up
            if (found := self._meaning(module, reference.split("."), own))
        ]
        return f"{_dumped(statement)}\n{meanings}\n"

    def _meaning(
        self,
        module: _Module,
        reference: Sequence[str],
        own: dict[str, list[tuple[str, str | None]]],
    ) -> list[int | str]:
        """What a dotted name in a statement stands for; nothing for one that is local to it."""
        first, rest = reference[0], reference[1:]
        found: list[int | str] = []
        for source, attribute in own.get(first, []):
            found += self._imported(module, source, [attribute, *rest] if attribute else rest)
        return found + self._named(module, first, rest)

    def _named(self, module: _Module, name: str, rest: Sequence[str] = ()) -> list[int | str]:
        """What a name at the top of a module stands for."""
        if module.cell and name in vars(sys.modules["__main__"]):
            return self._live(module, vars(sys.modules["__main__"])[name], rest)
        found: list[int | str] = [self._number(module, at) for at in module.bound.get(name, [])]
        if (module, name) in self._seeking:  # two modules that import all of each other
            return found
        self._seeking.add((module, name))
        for source, attribute in module.imports.get(name, []):
            found += self._imported(module, source, [attribute, *rest] if attribute else rest)
        if not found and not hasattr(builtins, name):
            for source, _ in module.imports.get("*", []):
                found += self._imported(module, source, [name, *rest])
        self._seeking.remove((module, name))
        return found

    def _imported(self, importer: _Module, source: str, rest: Sequence[str]) -> list[int | str]:
        """What ``source.rest`` stands for, where ``source`` is a module."""
        if not _same_home(source, importer.name):
            return [".".join([source, *rest[:1]])]
        module = _module(source)
        self._touch(module)
        if rest and (rest[0] in module.bound or rest[0] in module.imports):
            return self._named(module, rest[0], rest[1:])
        if rest and _file(f"{source}.{rest[0]}"):
            return self._imported(importer, f"{source}.{rest[0]}", rest[1:])
        if rest and "*" in module.imports:
            return self._named(module, rest[0], rest[1:])
        # The module itself is handed on: any of its names may be meant.
        return list(self._whole(module))

    def _live(self, module: _Module, value: object, rest: Sequence[str]) -> list[int | str]:
        """What a variable of a notebook holds now."""
        if isinstance(value, ModuleType):
            return self._imported(module, value.__name__, rest)
        if isinstance(value, type | FunctionType):
            if not _same_home(value.__module__, module.name):
                return [f"{value.__module__}.{value.__qualname__}"]
            place, name = _place(value)
            self._touch(place)
            return [self._number(place, at) for at in place.bound.get(name, [])]
        if isinstance(value, PLAIN):
            return [repr(value)]
        raise _NoSourceError

    def _number(self, module: _Module, index: int) -> int:
        if (module, index) not in self._numbers:
            self._numbers[module, index] = len(self._order)
            self._order.append((module, index))
        return self._numbers[module, index]

    def _whole(self, module: _Module) -> list[int]:
        return [self._number(module, at) for at in range(len(module.statements))]

    def _touch(self, module: _Module) -> None:
        """Count what happens when a module is imported, and modules with it.

        Not in the harness, where only starts and what they name are asked for.
        """
        if module in self._touched or module.of_harness:
            return
        self._touched.add(module)
        for index, statement in enumerate(module.statements):
            if _acts(statement, module):
                self._number(module, index)
        for source in module.loads:
            if _same_home(source, module.name):
                self._touch(_module(source))

    def _take_home(self, module: _Module) -> None:
        """Count every file of a module's home."""
        home = module.name.partition(".")[0]
        if home not in self._taken and not module.of_harness:
            self._taken.add(home)
            self._whole(module)
            for file in _files_of(home):
                self._whole(_read(home, file))


def _place(start: Definition) -> tuple[_Module, str]:
    """Where a definition stands, and under which name at the top level."""
    name = start.__qualname__.partition(".")[0]
    if getattr(sys.modules.get(start.__module__), "__file__", None):
        return _module(start.__module__), name
    functions = [start] if isinstance(start, FunctionType) else vars(start).values()
    cells = {
        inspect.unwrap(one).__code__.co_filename
        for one in functions
        if isinstance(one, FunctionType)
    }
    if start.__module__ != "__main__" or len(cells) != 1:
        raise _NoSourceError
    cell = _cell(cells.pop())
    if name not in cell.bound:  # a function of another cell has been put into the class
        raise _NoSourceError
    return cell, name


@cache
def _cell(file: str) -> _Module:
    """A cell of a notebook, whose text IPython leaves with `linecache`."""
    text = "".join(linecache.getlines(file))
    if not text:
        raise _NoSourceError
    return _parsed(text, "__main__", "", cell=True)


def _module(name: str) -> _Module:
    """A module's text; that of a package without ``__init__.py`` is empty."""
    file = _file(name)
    if file and file in _stamps and _stamps[file] != _stamp(file):
        raise _NoSourceError
    return _read(name, file)


@cache
def _read(name: str, file: str) -> _Module:
    if not file.endswith(".py"):  # compiled, or a namespace
        text = f"compiled = {hashlib.sha256(Path(file).read_bytes()).hexdigest()!r}" if file else ""
        return _parsed(text, name, name)
    is_package = Path(file).name == "__init__.py"
    package = name if is_package else name.rpartition(".")[0]
    return _parsed(Path(file).read_bytes(), name, package)


def _parsed(source: str | bytes, name: str, package: str, cell: bool = False) -> _Module:
    try:
        tree = ast.parse(source)
        names = frozenset(_looked_up(symtable.symtable(ast.unparse(tree), name, "exec")))
    except (SyntaxError, ValueError) as error:
        raise _NoSourceError from error
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
    return _Module(name, package, statements, bound, imports, sorted(loads), names, cell)


def _loaded(tree: ast.AST, package: str) -> Iterator[str]:
    """Modules that a tree imports, and names that may be modules."""
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


def _dumped(node: object) -> str:
    """A syntax tree as text, the same in all versions of Python that have all of its nodes."""
    if isinstance(node, list):
        return f"[{', '.join(map(_dumped, node))}]"
    if isinstance(node, ast.Constant):
        return repr(node.value)
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (
        f"{name}={_dumped(value)}"
        for name, value in ast.iter_fields(node)
        if value is not None and value != []
    )
    return f"{type(node).__name__}({', '.join(fields)})"


def _without_docstrings(statement: ast.stmt) -> ast.stmt:
    """Take out texts that stand by themselves, which do nothing."""
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
    """Names that a statement binds at the top level; too many for one that is nested."""
    if isinstance(statement, DEFINITION):
        return {statement.name}
    bound = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, DEFINITION):
            bound.add(node.name)
    return bound


def _acts(statement: ast.stmt, module: _Module) -> bool:
    """Whether a statement may do more than bind its names."""
    if isinstance(statement, DEFINITION):
        return any(_is_own_decorator(one, module) for one in statement.decorator_list)
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return True
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return any(isinstance(one, ast.Call) for one in ast.walk(statement)) or not all(
        isinstance(one, ast.Name | ast.Tuple) for one in targets
    )


def _is_own_decorator(decorator: ast.expr, module: _Module) -> bool:
    """Whether a decorator is neither Python's nor the harness's, and may so do anything."""
    roots = [node.id for node in ast.walk(decorator) if isinstance(node, ast.Name)]
    sources = [
        source.partition(".")[0] for root in roots for source, _ in module.imports.get(root, [])
    ]
    known = all(source in HARNESS or source in sys.stdlib_module_names for source in sources)
    return not known or any(root in module.bound for root in roots)


def _references(statement: ast.stmt) -> set[str]:
    """Names in a statement, with the attributes that follow them: ``nn.functional.relu``."""
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


def _looks_names_up(statement: ast.stmt) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id in LOOK_UP)
        or (isinstance(node, ast.Attribute) and node.attr in LOOK_UP_ATTRIBUTES)
        or (isinstance(node, ast.FunctionDef) and node.name in LOOK_UP_ATTRIBUTES)
        or (isinstance(node, ast.keyword) and node.arg == "metaclass")
        or _dotted(node) == "sys.modules"
        for node in ast.walk(statement)
    )


def _same_home(name: str, importer: str) -> bool:
    """Whether a module that another one imports counts with it."""
    top, own = name.partition(".")[0], importer.partition(".")[0]
    if top in (own, CATALOGUE):
        return True
    if top in HARNESS or top in sys.stdlib_module_names or not (file := _file(top)):
        return False
    if not _installed(file):
        return True
    return _installed(_file(own)) and bool(_distributions(top) & _distributions(own))


@cache
def _installed(file: str) -> bool:
    """Whether the file of a top-level module lies where an installer puts distributions.

    Such a folder can have any name (`pip install --target`), but the records are beside the code.
    """
    path = Path(file)
    if not {"site-packages", "dist-packages"}.isdisjoint(path.parts):
        return True
    folder = path.parent.parent if path.stem == "__init__" else path.parent
    return any(folder.glob("*.dist-info"))


@cache
def _all_distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


def _distributions(top: str) -> set[str]:
    return set(_all_distributions().get(top, []))


def _file(name: str) -> str:
    """The file of a module, loaded or not; empty if it has none."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None) or ""
    try:
        spec = importlib.util.find_spec(name)
    except Exception:  # a package on the way to it may fail in any way when it is imported
        return ""
    return (spec.origin or "") if spec is not None and spec.has_location else ""


def _files_of(home: str) -> list[str]:
    """Every file of a top-level package; of a module alone, and of a bare folder, those beside."""
    module = sys.modules.get(home)
    file = getattr(module, "__file__", None)
    if file and Path(file).name != "__init__.py":
        return list(map(str, sorted(Path(file).parent.glob("*.py"))))
    folders = map(Path, getattr(module, "__path__", []))
    found = (one for folder in folders for one in folder.glob("**/*.py" if file else "*.py"))
    return list(map(str, sorted(found)))


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
