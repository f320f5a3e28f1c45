"""A run's identity covers the code behind its method: all of it, and nothing else."""

from pathlib import Path

import pytest

import methods
from bench.registry import built_in_methods, source_sha256


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch):
    """Methods whose hash changes if one file of `methods/` reads differently."""
    read = Path.read_bytes

    def names(file: str) -> set[str]:
        before = hashes()
        place = Path(methods.__path__[0]) / file
        assert place.is_file()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda path: read(path) + b"\n#" * (path == place))
            after = hashes()
        return {name for name in after if after[name] != before[name]}

    return names


def hashes() -> dict[str, str]:
    chosen = ("ta2n", "chamfer++", "protonet", "molo", "ata", "ata-transductive")
    return {name: source_sha256(built_in_methods()[name]) for name in chosen}


def test_a_methods_own_file_and_what_it_imports_count(changed):
    assert changed("ta2n.py") == {"ta2n"}
    assert changed("parts/tuples.py") == {"chamfer++"}
    assert changed("parts/alignment.py") == {"molo"}


def test_reproductions_of_authors_numbers_do_not_count(changed):
    assert not changed("parity/_episode.py")
