"""The package of `tests/outside`, as if it were installed: its entry points are on the path."""

import shutil
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.method import REGISTRY
from bench.plugins.registry import built_in_methods
from episodes import plugins

OUTSIDE = Path(__file__).parent / "outside"


def unpacked(folder: Path) -> Path:
    """Copy the package and write the metadata that installing it would; return the folder."""
    shutil.copytree(OUTSIDE / "outside_fewshot", folder / "outside_fewshot")
    project = tomllib.loads((OUTSIDE / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (info / "top_level.txt").write_text("outside_fewshot\n")
    return folder


@contextmanager
def plugins_as_they_were() -> Iterator[None]:
    """Forget in the end what was imported from plugins, and what they registered."""
    built_in_methods()
    modules, path, known = set(sys.modules), list(sys.path), dict(REGISTRY)
    files = dict(plugins.loaded_files)
    try:
        yield
    finally:
        for name in sys.modules.keys() - modules:
            own = str(getattr(sys.modules[name], "__name__", name))
            if name.partition(".")[0] == "outside_fewshot" or own.startswith("fvbench_plugin_"):
                del sys.modules[name]
        sys.path[:] = path
        REGISTRY.clear()
        REGISTRY.update(known)
        plugins.loaded_files.clear()
        plugins.loaded_files.update(files)
        plugins.load_announced.cache_clear()


@contextmanager
def installed(folder: Path) -> Iterator[Path]:
    """Have the package found in this process."""
    with plugins_as_they_were():
        sys.path.insert(0, str(unpacked(folder)))
        yield folder
