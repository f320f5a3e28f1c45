"""Which methods to examine, given names, files and folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.method import Entry, find
from bench.plugins.registry import methods_in
from episodes.errors import UserError
from episodes.plugins import plugin_files


@dataclass
class Selection:
    """Methods to examine, each once, and a line for each thing that is none."""

    entries: list[Entry] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, entries: Sequence[Entry]) -> None:
        """Add methods that are not there yet."""
        self.entries += [entry for entry in entries if entry not in self.entries]


def select(wanted: Sequence[str], every: bool, among: Mapping[str, Entry]) -> Selection:
    """Find what was asked for; what cannot be found or imported does not stop the rest.

    Args:
        wanted: names of methods, files, folders.
        every: whether all of ``among`` are wanted.
        among: methods that are known, by name.

    Raises:
        UserError: nothing was asked for.
    """
    if not wanted and not every:
        raise UserError("name a method or a file, or give --all for all methods")
    selection = Selection()
    selection.add([entry for _, entry in sorted(among.items()) if every])
    for one in wanted:
        for part in _parts(one, among):
            try:
                selection.add([find(part, among)] if isinstance(part, str) else methods_in(part))
            except UserError as error:
                selection.errors.append(str(error))
    return selection


def _parts(wanted: str, among: Mapping[str, Entry]) -> Sequence[str | Path]:
    """A name as it is, a file as a path, a folder as the paths in it."""
    path = Path(wanted)
    if wanted in among:
        return [wanted]
    if path.is_dir():
        return plugin_files(path) or [wanted]
    return [path] if path.suffix == ".py" or path.exists() else [wanted]
