"""Finding methods: in `methods/`, in installed plugins, and in files that a user names."""

import gc
import importlib
import pkgutil
import sys
from collections.abc import Container, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

import methods
import methods.fast
import methods.parity
from bench.method import REGISTRY, ConfiguredMethod, Method, find
from bench.plugins.source import changed_file, meaning_sha256, of_harness, remember_loaded
from bench.settings import names_in
from episodes.errors import UserError, warn
from episodes.plugins import brought, load_file, plugin_files

ENTRY_POINTS = "fvbench.methods"
"""Entry-point group under which distributions announce modules with methods."""
ALL = "all"
"""Name that stands for every method in a list."""
DEFAULT_TABLE = frozenset(
    {
        *("chance", "single-frame", "protonet", "protonet-cosine", "baseline", "mean", "max"),
        *("linear", "diagonal", "chamfer", "chamfer++", "bi-mhm", "otam", "matching-networks"),
        *("matching-networks-fce", "relation-net", "can", "cmn", "cross-transformer", "pal", "trx"),
        *("strm", "hyrsm", "team", "visil", "mastaf", "mastaf-no-global", "mastaf-noml-mean"),
        *("mastaf-nores", "mastaf-self", "mastaf-cross", "mastaf-neighbor"),
    }
)
"""Methods of the default table, which two cores evaluate on both default banks within minutes."""


@cache
def built_in_methods() -> Mapping[str, ConfiguredMethod]:
    """Import the files in `methods/` and `methods/fast/`; return what they register, by name."""
    _import_package(methods)
    _import_package(methods.fast)
    remember_loaded()
    return dict(REGISTRY)


@cache
def import_reproductions() -> None:
    """Import every file in `methods/parity/`, which fills `bench.reference.REPRODUCTIONS`."""
    _import_package(methods.parity)


def load_plugins(paths: Iterable[Path], leave_out: bool | None = None) -> None:
    """Load files with the methods, backbones and data sets that they define.

    Args:
        paths: files, or folders whose ``*.py`` files are loaded, except tests.
        leave_out: whether to report files that cannot be imported on stderr and leave them out;
            None to do so for files in folders only.

    Raises:
        UserError: a path does not exist, or a file cannot be imported and may not be left out.
    """
    built_in_methods()
    for path in paths:
        tolerant = path.is_dir() if leave_out is None else leave_out
        for file in plugin_files(path) if path.is_dir() else [path]:
            try:
                _load(file)
            except UserError as error:
                if not tolerant:
                    raise
                warn(f"left out: {error}")
            else:
                continue
            gc.collect()  # closes its files and frees its memory
    remember_loaded()


def all_methods(
    plugins: Iterable[Path] = (), leave_out: bool | None = None
) -> Mapping[str, ConfiguredMethod]:
    """Return built-in methods, those of installed plugins and those in the given paths.

    An installed plugin that cannot be imported is reported on stderr and left out. Arguments and
    errors are those of `load_plugins`.
    """
    built_in_methods()
    brought(ENTRY_POINTS)  # importing registers
    load_plugins(plugins, leave_out)
    return dict(REGISTRY)


def methods_in(path: Path) -> list[ConfiguredMethod]:
    """Import one file, possibly a built-in one, and return the methods that it registers.

    Raises:
        UserError: the file does not exist, cannot be imported, or registers no method.
    """
    built_in_methods()
    if not _registered_by(path):
        load_plugins([path], leave_out=False)
    found = _registered_by(path)
    if not found:
        raise UserError(
            f"{path} registers no method; put @register, from bench.method, above its class"
        )
    return found


def choose(
    names: str | None,
    among: Mapping[str, ConfiguredMethod],
    plain: bool = False,
    default: Container[str] | None = None,
) -> list[ConfiguredMethod]:
    """Return the methods in a comma-separated list, or all of them, sorted by name.

    Args:
        names: the list, with settings in brackets behind a name; "all" for all; None for the
            defaults.
        among: the known methods, by name.
        plain: whether to use no faster forms.
        default: our default methods, besides those of plugins; None for all methods.

    Raises:
        UserError: a name is unknown, or the list is empty.
    """
    if plain:
        among = {name: entry.plain for name, entry in among.items()}
    if names is None or names.strip() == ALL:
        wanted = [
            name
            for name, entry in sorted(among.items())
            if names is not None
            or default is None
            or name in default
            or not entry.cls.__module__.startswith("methods.")
        ]
    else:
        wanted = names_in(names)
    if not wanted:
        raise UserError(
            f"--methods {names!r} names no method; `fvbench list methods` shows them all"
        )
    found = [find(name, among) for name in wanted]
    return list({entry.name: entry for entry in found}.values())


def source_sha256(entry: ConfiguredMethod) -> str | None:
    """Hash of a method's code, in the form that is built (`bench.plugins.source`).

    Its rows are reused only while the hash stays the same.

    Returns:
        None if the source is not available, or has changed since it was loaded.
    """
    return meaning_sha256(_classes(entry))


def check_unchanged(entry: ConfiguredMethod) -> None:
    """Refuse a method whose files have changed since they were loaded: it is what it was.

    Raises:
        UserError: one has.
    """
    if (file := changed_file(_classes(entry))) is not None:
        raise UserError(
            f"{file} has changed since it was loaded, and {entry.name} is still what it was before:"
            " restart Python, which in a notebook is its kernel"
        )


def _classes(entry: ConfiguredMethod) -> list[type[Method]]:
    """The classes whose code is the method's."""
    mro = entry.built.__mro__
    return [cls for cls in mro if issubclass(cls, Method) and not of_harness(cls)]


def _import_package(package: ModuleType) -> None:
    """Import the modules of a package, except subpackages and names that begin with _."""
    for found in pkgutil.iter_modules(package.__path__):
        if not found.name.startswith("_") and not found.ispkg:
            importlib.import_module(f"{package.__name__}.{found.name}")


def _registered_by(path: Path) -> list[ConfiguredMethod]:
    """Return the methods whose classes are defined in a file."""
    file = path.resolve()
    found = []
    for entry in REGISTRY.values():
        own = getattr(sys.modules[entry.cls.__module__], "__file__", None)  # a notebook has none
        if own and Path(own).resolve() == file:
            found.append(entry)
    return found


def _load(path: Path) -> None:
    """Load a file, which may register methods; if it fails, undo its registrations."""
    before = dict(REGISTRY)
    try:
        load_file(path)
    except UserError:
        REGISTRY.clear()
        raise
    finally:
        REGISTRY.update({name: one for name, one in before.items() if name not in REGISTRY})
