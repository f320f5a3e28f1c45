"""Code from outside the project: files that a user names, and what installed packages announce.

A plugin brings methods, backbones and data sets, by the same rules as the project's own files: a
method is a class under ``@register``, a backbone a class with a ``name`` of its own, a data set an
object called ``DATASET``. `brought` returns the modules to search for them.
"""

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from episodes.errors import UserError, in_words, warn

loaded_files: dict[str, ModuleType] = {}
"""Name -> module loaded from a file."""
_added: set[str] = set()
"""Folders that are on Python's path for the sake of a plugin."""


def brought(group: str) -> list[object]:
    """Return what installed packages announce in an entry-point group, and all loaded files.

    Each is a module, or whatever object an entry point names. A warning names, once, each entry
    point that cannot be loaded.
    """
    loaded = map(load_announced, _announced(group, tuple(sys.path)))
    return [found for found in loaded if found is not None] + list(loaded_files.values())


@cache
def _announced(group: str, _path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Return the entry points of the packages on a path, cached since reading them takes long."""
    return tuple(entry_points(group=group))


def plugin_files(folder: Path) -> list[Path]:
    """Return the files of a folder that may be plugins: none that are tests, private or hidden."""
    others = ("_", ".", "test_", "conftest.py")
    return sorted(file for file in folder.glob("*.py") if not file.name.startswith(others))


def load_file(path: Path) -> ModuleType:
    """Import a file as a module of its package or, without one, of a package made of its folder.

    So it can import the files beside it both absolutely, as a script does, and relatively.

    Raises:
        UserError: it is missing, not a Python file, or fails to import.
    """
    if not path.is_file():
        raise UserError(f"plugin {path}: there is no such file or folder")
    if path.suffix != ".py":
        raise UserError(f"plugin {path}: not a Python file; a plugin ends in .py")
    file = path.resolve()
    package = _package_of(file)
    name = f"{package}.{file.stem}"
    if name not in sys.modules and _is_at(sys.modules.get(file.stem), file):
        sys.modules[name] = sys.modules[file.stem]  # a file beside it has imported it
    elif name not in sys.modules:
        _check_found(path)
        _import_as(name, package, path)
    elif not _is_at(sys.modules[name], file):
        raise _another(path, package)
    loaded_files[name] = sys.modules[name]
    return sys.modules[name]


def guarded(what: str, load: Callable[[], object]) -> object:
    """Run a plugin's code; any exception becomes a UserError of one line that names the plugin."""
    try:
        return load()
    except UserError as error:
        raise UserError(f"{what}: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UserError(f"{what} cannot be loaded: {in_words(error)}") from error


@cache
def load_announced(point: EntryPoint) -> object | None:
    """Load an entry point once; None, and a warning, if it cannot be loaded."""
    try:
        return guarded(f"plugin {point.value}", point.load)
    except UserError as error:
        warn(f"left out: {error}")  # nobody asked for it
        return None


def _import_as(name: str, package: str, path: Path) -> None:
    file = path.resolve()
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"plugin {path}: Python cannot import such a file")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        guarded(f"plugin {path}", partial(importlib.import_module, package))
        if str(file.parent) not in sys.modules[package].__path__:
            raise _another(path, package)
        sys.modules[name] = module
        guarded(f"plugin {path}", partial(spec.loader.exec_module, module))
        _keep_apart(path, before)
    except UserError:
        sys.modules.pop(name, None)
        sys.path[:] = before
        raise
    if file.stem.isidentifier() and file.stem not in sys.modules:
        found = importlib.util.find_spec(file.stem)
        if found is not None and Path(str(found.origin)).resolve() == file:
            sys.modules[file.stem] = module  # so that a file beside it may import it absolutely


def _keep_apart(path: Path, before: Sequence[str]) -> None:
    """Keep apart the files in folders that a plugin has added to Python's path, and all others.

    Its folders come last, so that they take no import from plugins that are loaded already. One
    that is there already, such as its own, may have been put first as well.
    """
    if added := list(Counter(sys.path) - Counter(before)):
        others = _added - {*added, *map(str, path.resolve().parents)}
        alone = [one for one in sys.path if one not in others]
        sys.path[:] = [*before, *(one for one in added if one not in before)]
        _check_found(path, added, alone)
        _added.update(added)


def _is_at(module: ModuleType | None, file: Path) -> bool:
    return Path(str(getattr(module, "__file__", None))).resolve() == file


def _another(path: Path, package: str) -> UserError:
    """Return the error of a file in a package that another one hides, such as a copy."""
    return UserError(
        f"plugin {path}: Python finds another package called {package}, at"
        f" {sys.modules[package].__file__}; if that is a copy, install this one in its place"
        f" (`pip install -e`), otherwise rename the folder {path.resolve().parent}"
    )


def _package_of(file: Path) -> str:
    """Return the package that a file belongs to, and make it importable.

    A folder without ``__init__.py`` becomes a package with a unique name.
    """
    folder = file.parent
    names: list[str] = []
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # at the end, where it shadows nothing
        _added.add(str(folder))
    if names:
        return ".".join(names)
    name = f"fvbench_plugin_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if name not in sys.modules:
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder)]
    return name


def _check_found(path: Path, added: Sequence[str] = (), alone: Sequence[str] = ()) -> None:
    """Refuse a plugin whose import of a file beside it would find another module of that name.

    Two plugins that each bring a ``layers.py`` would share the first one. The same is true of the
    files in folders that a plugin has ``added`` to Python's path, such as copies of authors' code;
    of those, it means the ones that it finds ``alone``, on the path without other plugins' folders.
    """
    way_out = "or write `from . import {}`"
    if added:
        way_out = "import it at the top of the plugin, or leave out other plugins"
    folders = [Path(one).resolve() for one in added]
    waiting = [path.resolve()]
    seen: set[Path] = set()
    while waiting:
        file = waiting.pop()
        seen.add(file)
        for name in _imported_absolutely(file):
            if added and name in sys.stdlib_module_names:
                continue
            files = (f"{name}.py", f"{name}/__init__.py")
            places = {folder / one for folder in folders or [file.parent] for one in files}
            if added:
                meant = PathFinder.find_spec(name, alone)
                places &= {Path(str(getattr(meant, "origin", None))).resolve()}
            for own in filter(Path.is_file, places - seen):
                spec = importlib.util.find_spec(name)
                found = "Python's own" if spec is None or not spec.has_location else spec.origin
                if found is None or Path(found).resolve() != own:
                    raise UserError(
                        f"plugin {path}: `import {name}` finds {found}, not {own}; rename that"
                        f" file, {way_out.format(name)}"
                    )
                waiting.append(own)


def _imported_absolutely(file: Path) -> set[str]:
    """Return the top-level modules that a file imports absolutely, anywhere in it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return set()  # reported when it is imported
    nodes = list(ast.walk(tree))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    absolute = (node for node in nodes if isinstance(node, ast.ImportFrom) and not node.level)
    names += [node.module for node in absolute if node.module]
    return {name.partition(".")[0] for name in names}
