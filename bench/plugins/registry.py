"""Finding methods: in `methods/`, in installed plugins, in files that a user names."""

import ast
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import methods
import methods.fast
import methods.parity
from bench.method import REGISTRY, Entry, Method, find
from bench.plugins.source import meaning_sha256, of_harness, remember_loaded
from episodes.errors import UserError, shown

ENTRY_POINTS = "fvbench.methods"
"""Entry-point group under which other distributions announce modules with methods."""


@cache
def built_in_methods() -> Mapping[str, Entry]:
    """Import the files in `methods/` and `methods/fast/`; return what they register, by name."""
    _import_package(methods)
    _import_package(methods.fast)
    remember_loaded()
    return dict(REGISTRY)


@cache
def import_reproductions() -> None:
    """Import every file in `methods/parity/`, which fills `bench.reference.REPRODUCTIONS`."""
    _import_package(methods.parity)


def all_methods(plugins: Iterable[Path] = (), leave_out: bool | None = None) -> Mapping[str, Entry]:
    """Return built-in methods, those of installed plugins and those in the paths given.

    An installed plugin that cannot be imported is named on stderr and left out.

    Args:
        plugins: files, or folders whose ``*.py`` files are taken, tests left out.
        leave_out: whether files that cannot be imported are named on stderr and left out as well;
            None for those of folders, which nobody named.

    Raises:
        UserError: a file cannot be imported and is not to be left out, or a path is not there.
    """
    built_in_methods()
    for point in entry_points(group=ENTRY_POINTS):
        _import_or_leave_out(partial(_import_guarded, f"plugin {point.value}", point.load))
    for path in plugins:
        files = plugin_files(path) if path.is_dir() else [path]
        for file in files:
            if path.is_dir() if leave_out is None else leave_out:
                _import_or_leave_out(partial(_import_file, file))
            else:
                _import_file(file)
    remember_loaded()
    return dict(REGISTRY)


def methods_in(path: Path) -> list[Entry]:
    """Import one file and return the methods that it registers, of built-in files too.

    Raises:
        UserError: the file is not there, cannot be imported, or registers nothing.
    """
    built_in_methods()
    if not _registered_by(path):
        _import_file(path)
    found = _registered_by(path)
    if not found:
        raise UserError(
            f"{path} registers no method; put @register, from bench.method, above its class"
        )
    return found


def plugin_files(folder: Path) -> list[Path]:
    """Return the files of a folder that may hold methods: no tests, none that begin with _."""
    return sorted(
        file
        for file in folder.glob("*.py")
        if not file.name.startswith(("_", "test_")) and file.name != "conftest.py"
    )


def choose(names: str | None, among: Mapping[str, Entry], plain: bool = False) -> list[Entry]:
    """Return the methods of a comma-separated list, or all of them, sorted by name.

    Args:
        names: the list; None for all.
        among: methods that are known, by name.
        plain: whether to leave out their quicker forms.

    Raises:
        UserError: a name is unknown, or the list is empty.
    """
    if plain:
        among = {name: entry.plain for name, entry in among.items()}
    if names is None:
        return sorted(among.values(), key=lambda entry: entry.name)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise UserError(
            f"--methods {names!r} names no method; `fvbench list methods` shows them all"
        )
    return [find(name, among) for name in dict.fromkeys(wanted)]


def source_sha256(entry: Entry) -> str | None:
    """Hash of the code behind a method, in the form that is built (`bench.plugins.source`).

    Its rows are not reused once that changes.

    Returns:
        None where the source cannot be had, or has changed since it was loaded.
    """
    return meaning_sha256(
        cls for cls in entry.built.__mro__ if issubclass(cls, Method) and not of_harness(cls)
    )


def _import_package(package: ModuleType) -> None:
    """Import the modules of a package, but for those that begin with _ and packages in it."""
    for found in pkgutil.iter_modules(package.__path__):
        if not found.name.startswith("_") and not found.ispkg:
            importlib.import_module(f"{package.__name__}.{found.name}")


def _registered_by(path: Path) -> list[Entry]:
    """Methods whose classes stand in a file."""
    file = path.resolve()
    return [
        entry
        for entry in REGISTRY.values()
        if Path(sys.modules[entry.cls.__module__].__file__ or "").resolve() == file
    ]


def _import_or_leave_out(load: Callable[[], object]) -> None:
    """Import something that the user did not name; where it is broken, say so and go on."""
    try:
        load()
    except UserError as error:
        print(f"left out: {shown(str(error))}", file=sys.stderr)  # noqa: T201


def _import_file(path: Path) -> None:
    """Import a file as a module of its package, or of one that is its bare folder.

    So it can import the files beside it, absolutely as a script does, and relatively.
    """
    if not path.is_file():
        raise UserError(f"plugin {path}: there is no such file or folder")
    if path.suffix != ".py":
        raise UserError(f"plugin {path}: not a Python file; a plugin ends in .py")
    file = path.resolve()
    package = _package_of(file)
    name = f"{package}.{file.stem}"
    if name in sys.modules:
        return
    _check_beside(path)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"plugin {path}: Python cannot import such a file")
    module = importlib.util.module_from_spec(spec)
    try:
        _import_guarded(f"plugin {path}", partial(importlib.import_module, package))
        if str(file.parent) not in sys.modules[package].__path__:
            raise UserError(
                f"plugin {path}: there is another package called {package}, at"
                f" {sys.modules[package].__file__}; rename the folder {file.parent}"
            )
        sys.modules[name] = module
        _import_guarded(f"plugin {path}", partial(spec.loader.exec_module, module))
    except UserError:
        sys.modules.pop(name, None)
        _forget(name)
        raise
    remember_loaded()


def _package_of(file: Path) -> str:
    """The package that a file belongs to, which can be imported from now on.

    A folder without ``__init__.py`` becomes one under a name that no other has.
    """
    folder = file.parent
    names: list[str] = []
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # at the end: it shadows nothing
    if names:
        return ".".join(names)
    name = f"fvbench_plugin_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if name not in sys.modules:
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder)]
    return name


def _check_beside(path: Path) -> None:
    """Refuse a plugin that would import another module than the file of that name beside it.

    Two plugins that each bring a ``layers.py`` would share the first one.
    """
    waiting = [path.resolve()]
    seen: set[Path] = set()
    while waiting:
        file = waiting.pop()
        seen.add(file)
        for name in _imported_absolutely(file):
            beside = {file.parent / f"{name}.py", file.parent / name / "__init__.py"}
            for own in filter(Path.is_file, beside - seen):
                spec = importlib.util.find_spec(name)
                found = "Python's own" if spec is None or not spec.has_location else spec.origin
                if found is None or Path(found).resolve() != own:
                    raise UserError(
                        f"plugin {path}: `import {name}` finds {found}, not {own} beside it;"
                        f" rename that file, or write `from . import {name}`"
                    )
                waiting.append(own)


def _imported_absolutely(file: Path) -> set[str]:
    """Top-level modules that a file imports, anywhere in it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return set()  # importing it will say so
    nodes = list(ast.walk(tree))
    names = [alias.name for one in nodes if isinstance(one, ast.Import) for alias in one.names]
    names += [
        one.module
        for one in nodes
        if isinstance(one, ast.ImportFrom) and one.module and not one.level
    ]
    return {name.partition(".")[0] for name in names}


def _forget(module: str) -> None:
    """Take back what a file registered before it failed."""
    for name in [name for name, entry in REGISTRY.items() if entry.cls.__module__ == module]:
        del REGISTRY[name]


def _import_guarded(what: str, load: Callable[[], object]) -> None:
    """Run a plugin's code; whatever it raises becomes one line that names the plugin."""
    try:
        load()
    except UserError as error:
        raise UserError(f"{what}: {error}") from error
    except (Exception, SystemExit) as error:
        words = " ".join(str(error).split())
        raise UserError(f"{what} cannot be loaded: {type(error).__name__}: {words}") from error
