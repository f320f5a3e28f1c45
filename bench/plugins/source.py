"""Hashing the meaning of code: the hash is the same as long as the reached definitions are.

The hash covers the definitions that a class can reach, not files. Each definition counts by its
syntax tree, without comments, docstrings and layout, and by what every name in it refers to:
another definition of the same home, or something imported from elsewhere. So files may be renamed
or reformatted, and definitions moved between them, without changing the hash; a change to any
reached definition, however far away, changes it.

Where that cannot be decided from the text, too much is hashed rather than too little. Statements
with effects on import (calls, loops, conditions, assignments to attributes, classes under a
decorator of the method's own) count wherever their module is imported, and code that looks up names
at run time (`eval`, `importlib`, `__subclasses__`, ...) counts with every file of its home. A
method that finds others by name is not identified.

Data files that code reads, and the versions of installed packages, are not covered.
"""

import ast
import builtins
import hashlib
import importlib.util
import inspect
import linecache
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path
from types import FunctionType, ModuleType
from typing import NamedTuple

from bench.plugins.syntax import (
    HARNESS,
    REGISTRIES,
    Module,
    NoSourceError,
    dumped,
    finds_code,
    has_effects,
    imported_names,
    is_of_script,
    looks_names_up,
    parsed_module,
    references,
)

CATALOGUE = "methods"
"""The package whose code counts wherever it is imported."""
PLAIN = (int, float, complex, str, bytes, bool, type(None))
"""Types of notebook variables whose value can replace their source."""

Definition = type | Callable[..., object]
_stamps: dict[str, tuple[tuple[int, int], object]] = {}
"""File of a loaded module -> its state, and the module's specification, which a reload replaces."""


def meaning_sha256(starts: Iterable[Definition]) -> str | None:
    """Hash classes and functions with all that they reach in their homes.

    A home consists of the top-level package of a module, its distribution, source on this machine
    that belongs to no distribution, and `methods`; never of the harness, unless a definition of the
    harness is among the starts.

    Returns:
        None, so that nothing is reused, if the source is not available, as for a class typed into
        an interpreter, has changed since it was loaded, or is nested too deeply.
    """
    try:
        return _Reached().hash_of(starts)
    except (NoSourceError, RecursionError):
        return None


def changed_file(starts: Iterable[Definition]) -> str | None:
    """Return a file of the definitions that has changed since it was loaded, and not reloaded."""
    try:
        _Reached().hash_of(starts)
    except _ChangedError as error:
        return str(error)
    except (NoSourceError, RecursionError):
        pass
    return None


def of_harness(definition: Definition) -> bool:
    """Whether a definition belongs to the harness and not to a method."""
    return definition.__module__.partition(".")[0] in HARNESS


def remember_loaded() -> None:
    """Note the state of the files of all loaded modules, so that later changes are noticed."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file not in _stamps and (stamp := _stamp(file)):
            _stamps[file] = stamp, getattr(module, "__spec__", None)


class _ChangedError(NoSourceError):
    """The file of a loaded module has changed."""


class _Statement(NamedTuple):
    """The text of a statement, and the names in it that may mean something elsewhere."""

    text: str
    references: Sequence[str]
    imports: Sequence[tuple[str, str, str | None]]
    looks_names_up: bool


@cache  # methods reach most statements together
def _statement(statement: ast.stmt, package: str) -> _Statement:
    return _Statement(
        dumped(statement),
        sorted(references(statement)),
        list(imported_names(statement, package)),
        looks_names_up(statement),
    )


class _Reached:
    """The definitions reached so far, numbered in the order in which they are reached."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Module, int], int] = {}
        self._order: list[tuple[Module, int]] = []
        self._touched: set[Module] = set()
        self._taken: set[str] = set()
        self._seeking: set[tuple[Module, str]] = set()
        self._run: set[int] = set()
        """Statements that define a method, or run as it is defined."""
        self._leads_to: list[set[int]] = []
        self._finding: set[int] = set()
        """Statements that find methods by name."""

    def hash_of(self, starts: Iterable[Definition]) -> str:
        for start in starts:
            module, name = _place(start)
            self._touch(module)
            self._run |= _numbers(self._named(module, name) or self._whole(module))
        digest = hashlib.sha256()
        for module, index in self._order:  # grows in the loop
            digest.update(self._record(module, module.statements[index]).encode())
        self._check_finding()
        return digest.hexdigest()

    def _check_finding(self) -> None:
        """Refuse code that finds methods, which any file of any folder may have registered.

        What is hashed for caution's sake alone, such as a script beside the method, may do so.
        """
        waiting, seen = [*self._run], {*self._run}
        while waiting:
            number = waiting.pop()
            if number in self._finding:
                raise NoSourceError
            waiting += self._leads_to[number] - seen
            seen |= self._leads_to[number]

    def _record(self, module: Module, statement: ast.stmt) -> str:
        """A statement, with the meaning of each name in it: numbers of statements, or text."""
        parsed = _statement(statement, module.package)
        if parsed.looks_names_up:
            self._take_home(module)
        own: dict[str, list[tuple[str, str | None]]] = {}
        for bound, source, attribute in parsed.imports:
            own.setdefault(bound, []).append((source, attribute))
        meanings = [
            (reference, found)
            for reference in parsed.references
            if (first := reference.partition(".")[0]) in own or first in module.looked_up
            if (found := self._meaning(module, reference.split("."), own))
        ]
        self._leads_to.append(_numbers(one for _, found in meanings for one in found))
        return f"{parsed.text}\n{meanings}\n"

    def _meaning(
        self,
        module: Module,
        reference: Sequence[str],
        own: dict[str, list[tuple[str, str | None]]],
    ) -> list[int | str]:
        """The meaning of a dotted name in a statement; empty for a local name."""
        first, rest = reference[0], reference[1:]
        found: list[int | str] = []
        for source, attribute in own.get(first, []):
            found += self._imported(module, source, [attribute, *rest] if attribute else rest)
        return found + self._named(module, first, rest)

    def _named(self, module: Module, name: str, rest: Sequence[str] = ()) -> list[int | str]:
        """The meaning of a name at the top level of a module."""
        if module.cell and name in vars(sys.modules["__main__"]):
            return self._live(module, vars(sys.modules["__main__"])[name], rest)
        found: list[int | str] = [self._number(module, at) for at in module.bound.get(name, [])]
        if (module, name) in self._seeking:  # two modules import all names of each other
            return found
        self._seeking.add((module, name))
        for source, attribute in module.imports.get(name, []):
            found += self._imported(module, source, [attribute, *rest] if attribute else rest)
        if not found and not hasattr(builtins, name):
            for source, _ in module.imports.get("*", []):
                found += self._imported(module, source, [name, *rest])
        self._seeking.remove((module, name))
        return found

    def _imported(self, importer: Module, source: str, rest: Sequence[str]) -> list[int | str]:
        """The meaning of ``source.rest``, where ``source`` is a module."""
        if not _same_home(source, importer.name):
            if finds_code(dotted := ".".join([source, *rest])):
                self._take_home(importer)
            if dotted.startswith(REGISTRIES):
                self._finding.add(len(self._leads_to))  # the statement that is being recorded
            return [".".join([source, *rest[:1]])]
        module = _module(source)
        self._touch(module)
        if rest and (rest[0] in module.bound or rest[0] in module.imports):
            return self._named(module, rest[0], rest[1:])
        if rest and _file_or_folder(f"{source}.{rest[0]}"):
            return self._imported(importer, f"{source}.{rest[0]}", rest[1:])
        if rest and "*" in module.imports:
            return self._named(module, rest[0], rest[1:])
        # The module itself is passed on, so any of its names may be used.
        return list(self._whole(module))

    def _live(self, module: Module, value: object, rest: Sequence[str]) -> list[int | str]:
        """The meaning of the present value of a notebook variable."""
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
        raise NoSourceError

    def _number(self, module: Module, index: int) -> int:
        if (module, index) not in self._numbers:
            self._numbers[module, index] = len(self._order)
            self._order.append((module, index))
        return self._numbers[module, index]

    def _whole(self, module: Module) -> list[int]:
        return [self._number(module, at) for at in range(len(module.statements))]

    def _touch(self, module: Module) -> None:
        """Include the statements with effects on import, of a module and of those it imports.

        Of the harness, only the starts and what they refer to are included.
        """
        if module in self._touched or module.of_harness:
            return
        self._touched.add(module)
        for index, statement in enumerate(module.statements):
            if has_effects(statement, module):
                number = self._number(module, index)
                if not is_of_script(statement):
                    self._run.add(number)
        for source in module.loads:
            if _same_home(source, module.name):
                self._touch(_module(source))

    def _take_home(self, module: Module) -> None:
        """Include every file of a module's home."""
        home = module.name.partition(".")[0]
        if home not in self._taken and not module.of_harness:
            self._taken.add(home)
            self._whole(module)
            for file in _files_of(home):
                self._whole(_read(home, file))


def _numbers(meaning: Iterable[int | str]) -> set[int]:
    return {one for one in meaning if isinstance(one, int)}


def _place(start: Definition) -> tuple[Module, str]:
    """Return the module of a definition, and its name at the top level."""
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
        raise NoSourceError
    cell = _cell(cells.pop())
    if name not in cell.bound:  # the class got its function from another cell
        raise NoSourceError
    return cell, name


@cache
def _cell(file: str) -> Module:
    """Parse a notebook cell, whose text IPython registers with `linecache`."""
    text = "".join(linecache.getlines(file))
    if not text:
        raise NoSourceError
    return parsed_module(text, "__main__", "", cell=True)


def _module(name: str) -> Module:
    """Parse the source of a module; a package without ``__init__.py`` is empty."""
    name = getattr(sys.modules.get(name), "__name__", name)  # plugins may have two names
    file, loaded = _file(name), sys.modules.get(name)
    if file and (stamp := _stamp(file)):
        # A module may be imported only after it has been read here, when a function first runs.
        then, spec = _stamps.setdefault(file, (stamp, None))
        if then != stamp:
            same = loaded is not None and getattr(loaded, "__spec__", None) is spec
            raise (_ChangedError(file) if same else NoSourceError)
    return _read(name, file)


@cache
def _read(name: str, file: str) -> Module:
    if not file.endswith(".py"):  # compiled, or a namespace
        text = f"compiled = {hashlib.sha256(Path(file).read_bytes()).hexdigest()!r}" if file else ""
        return parsed_module(text, name, name)
    is_package = Path(file).name == "__init__.py"
    package = name if is_package else name.rpartition(".")[0]
    try:
        return parsed_module(Path(file).read_bytes(), name, package)
    except OSError as error:  # it is in a .zip, or was removed
        raise NoSourceError from error


def _same_home(name: str, importer: str) -> bool:
    """Whether an imported module belongs to the home of the module that imports it."""
    top, own = name.partition(".")[0], importer.partition(".")[0]
    if top in (own, CATALOGUE):
        return True
    if top in HARNESS or top in sys.stdlib_module_names or not (place := _file_or_folder(top)):
        return False
    if not _installed(place):
        return True
    if not _installed(_file_or_folder(own)):
        return False
    distributions = _distributions()
    return not set(distributions.get(top, [])).isdisjoint(distributions.get(own, []))


@cache
def _installed(place: str) -> bool:
    """Whether a distribution has installed a top-level module, a file or a folder.

    The folder may have any name (`pip install --target`), but it holds the records too, maybe
    beside files of the user.
    """
    path = Path(place)
    if not {"site-packages", "dist-packages"}.isdisjoint(path.parts):
        return True
    module = path.parent if path.stem == "__init__" else path
    listed = tuple(f"{module.name.partition('.')[0]}{end}" for end in "/.")
    records = module.parent.glob("*.dist-info/RECORD")
    return any(
        line.startswith(listed)
        for record in records
        for line in record.read_text(encoding="utf-8", errors="replace").splitlines()
    )


_distributions = cache(packages_distributions)


def _file(name: str) -> str:
    """Return the file of a module, loaded or not; empty if it has none."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None) or ""
    spec = _spec(name)
    return (spec.origin or "") if spec is not None and spec.has_location else ""


def _file_or_folder(name: str) -> str:
    """Return the file of a module, or the folder of a package without ``__init__.py``."""
    if file := _file(name):
        return file
    if name in sys.modules:
        folders = getattr(sys.modules[name], "__path__", None)
    else:
        folders = getattr(_spec(name), "submodule_search_locations", None)
    return next(iter(folders or []), "")


def _spec(name: str) -> ModuleSpec | None:
    """Find a module that is not loaded."""
    try:
        return importlib.util.find_spec(name)
    except Exception:  # importing a parent package may raise anything
        return None


def _files_of(home: str) -> list[str]:
    """Return all files of a top-level package; for a single module, those beside it."""
    module = sys.modules.get(home)
    file = getattr(module, "__file__", None)
    if file and Path(file).name != "__init__.py":
        return list(map(str, sorted(Path(file).parent.glob("*.py"))))
    folders = map(Path, getattr(module, "__path__", []))
    deep = file or getattr(module, "__spec__", None)  # not so a folder that a plugin is in
    found = (one for folder in folders for one in folder.glob("**/*.py" if deep else "*.py"))
    return list(map(str, sorted(found)))


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
