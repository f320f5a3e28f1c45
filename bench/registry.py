"""Finding methods: in `methods/`, in installed plugins, in files that a user names."""

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

import methods
from bench.method import REGISTRY, Entry, find
from episodes.errors import UserError

ENTRY_POINTS = "fvbench.methods"
"""Entry-point group under which other distributions announce modules with methods."""


@cache
def built_in_methods() -> Mapping[str, Entry]:
    """Import every file in `methods/` and return what it registers, by name."""
    for found in pkgutil.iter_modules(methods.__path__):
        if not found.name.startswith("_") and not found.ispkg:
            importlib.import_module(f"{methods.__name__}.{found.name}")
    return dict(REGISTRY)


def all_methods(plugins: Iterable[Path] = ()) -> Mapping[str, Entry]:
    """Return built-in methods, those of installed plugins and those in the paths given.

    Args:
        plugins: files, or folders whose ``*.py`` files are taken.

    Raises:
        UserError: a plugin cannot be imported, or a path is not there.
    """
    built_in_methods()
    for point in entry_points(group=ENTRY_POINTS):
        _import_guarded(f"plugin {point.value}", point.load)
    for path in plugins:
        for file in _plugin_files(path):
            _import_file(file)
    return dict(REGISTRY)


def choose(names: str | None, among: Mapping[str, Entry]) -> list[Entry]:
    """Return the methods of a comma-separated list, or all of them, sorted by name.

    Raises:
        UserError: a name is unknown, or the list is empty.
    """
    if names is None:
        return sorted(among.values(), key=lambda entry: entry.name)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise UserError(
            f"--methods {names!r} names no method; `fvbench list methods` shows them all"
        )
    return [find(name, among) for name in dict.fromkeys(wanted)]


def source_sha256(entry: Entry) -> str:
    """Hash of the file that defines a method: its rows are not reused once the file changed."""
    return hashlib.sha256(Path(inspect.getfile(entry.cls)).read_bytes()).hexdigest()


def _plugin_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.glob("*.py") if not file.name.startswith("_"))
    if not path.is_file():
        raise UserError(f"--plugin {path}: there is no such file or folder")
    return [path]


def _import_file(path: Path) -> None:
    name = (
        f"fvbench_plugin_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    )
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"--plugin {path}: not a Python file; a plugin ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        _import_guarded(f"plugin {path}", partial(spec.loader.exec_module, module))
    except UserError:
        del sys.modules[name]
        raise


def _import_guarded(what: str, load: Callable[[], object]) -> None:
    """Run a plugin's code; whatever it raises becomes one line that names the plugin."""
    try:
        load()
    except UserError as error:
        raise UserError(f"{what}: {error}") from error
    except Exception as error:
        raise UserError(f"{what} cannot be loaded: {type(error).__name__}: {error}") from error
