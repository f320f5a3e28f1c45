"""Finding methods: in `methods/`, in installed plugins, in files that a user names."""

import ast
import hashlib
import importlib
import importlib.util
import inspect
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
from episodes.errors import UserError

ENTRY_POINTS = "fvbench.methods"
"""Entry-point group under which other distributions announce modules with methods."""


@cache
def built_in_methods() -> Mapping[str, Entry]:
    """Import the files in `methods/` and `methods/fast/`; return what they register, by name."""
    _import_package(methods)
    _import_package(methods.fast)
    return dict(REGISTRY)


@cache
def import_reproductions() -> None:
    """Import every file in `methods/parity/`, which fills `bench.reference.REPRODUCTIONS`."""
    _import_package(methods.parity)


def all_methods(plugins: Iterable[Path] = ()) -> Mapping[str, Entry]:
    """Return built-in methods, those of installed plugins and those in the paths given.

    Args:
        plugins: files, or folders whose ``*.py`` files are taken, tests left out. A file of a
            folder that cannot be imported is named on stderr and left out as well.

    Raises:
        UserError: a plugin that was named itself cannot be imported, or a path is not there.
    """
    built_in_methods()
    for point in entry_points(group=ENTRY_POINTS):
        _import_or_leave_out(partial(_import_guarded, f"plugin {point.value}", point.load))
    for path in plugins:
        if path.is_dir():
            _import_folder(path)
        else:
            _import_file(path)
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


def source_sha256(entry: Entry) -> str:
    """Hash of the code behind a method: its rows are not reused once that has changed.

    Taken, for the form that is built, over the files of the class and of all it derives from, and
    whatever these import from `methods/`, near and far.
    """
    waiting = {Path(inspect.getfile(cls)) for cls in entry.built.__mro__ if issubclass(cls, Method)}
    behind: set[Path] = set()
    while waiting:
        behind |= waiting
        waiting = set().union(*map(_imported_from_methods, waiting)) - behind
    digest = hashlib.sha256()
    for path in sorted(behind, key=lambda path: path.name):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _imported_from_methods(path: Path) -> set[Path]:
    """Files of `methods/` that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    root = Path(methods.__path__[0]).parent
    files = {
        root.joinpath(*name.split(".")).with_suffix(".py")
        for name in names
        if name.split(".")[0] == methods.__name__
    }
    return {file for file in files if file.is_file()}


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


def _import_folder(folder: Path) -> None:
    """Import the files of a folder; one that is broken does not stop the others."""
    for file in plugin_files(folder):
        _import_or_leave_out(partial(_import_file, file))


def _import_or_leave_out(load: Callable[[], object]) -> None:
    """Import something that the user did not name; where it is broken, say so and go on."""
    try:
        load()
    except UserError as error:
        print(f"left out: {error}", file=sys.stderr)  # noqa: T201


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"plugin {path}: there is no such file or folder")
    name = (
        f"fvbench_plugin_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    )
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"plugin {path}: not a Python file; a plugin ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        _import_guarded(f"plugin {path}", partial(spec.loader.exec_module, module))
    except UserError:
        del sys.modules[name]
        _forget(name)
        raise


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
