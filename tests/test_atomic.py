"""A file is whole or not there, whenever its writer stops."""

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.machine.locking import locked
from episodes.atomic import replacing, write_text
from episodes.errors import UserError

ROOT = Path(__file__).parents[1]


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def write_half(path: Path) -> None:
    with replacing(path) as unfinished:
        unfinished.write_text("ne")
        raise RuntimeError("half way")


def test_a_file_appears_and_an_old_one_stays_until_the_new_one_is_whole(tmp_path: Path):
    path = tmp_path / "clip.mp4"
    for old, new in ((None, "first"), ("first", "second")):
        with replacing(path) as unfinished:
            unfinished.write_text(new)
            assert (path.read_text() if path.exists() else None) == old
            assert (unfinished.parent, unfinished.suffix) == (tmp_path, ".mp4")
            assert unfinished.name.startswith(".")
        assert contents(tmp_path) == {"clip.mp4": new}


def test_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="half way"):
        write_half(path)
    assert contents(tmp_path) == {"kept.txt": "old"}


def test_writer_that_writes_nothing_is_an_error(tmp_path: Path):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert contents(tmp_path) == {"kept.txt": "old"}


def test_bytes_are_on_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, order = tmp_path / "new.txt", []
    monkeypatch.setattr(os, "fsync", lambda _: order.append("synced"))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda *pair: order.append("named") or replace(*pair))
    write_text(path, "whole")
    assert order == ["synced", "named", "synced"]  # the folder's names last


def test_a_killed_writer_leaves_the_old_file_and_what_it_began_is_removed_later(tmp_path: Path):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    code = (
        "import os, signal, sys, pathlib\n"
        "from episodes.atomic import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as unfinished:\n"
        "    unfinished.write_text('ne')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    assert subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode < 0
    assert path.read_text() == "old"
    (left,) = set(tmp_path.iterdir()) - {path}
    theirs = tmp_path / left.name.replace(left.name.split("-")[1], str(os.getpid()))
    theirs.write_text("a living process writes this")
    write_text(tmp_path / "two.txt", "whole")
    assert set(tmp_path.iterdir()) == {path, theirs, tmp_path / "two.txt"}


def test_a_full_disk_is_named_with_the_file(tmp_path: Path):
    def fill() -> None:
        with replacing(tmp_path / "big.npy"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: .*big\.npy"):
        fill()


def test_a_place_that_cannot_be_written_is_named_as_it_was_asked_for(tmp_path: Path):
    (tmp_path / "run.toml").mkdir()
    with pytest.raises(OSError, match=r"'.*/run\.toml'") as caught:
        write_text(tmp_path / "run.toml", "seed = 1")
    assert "unfinished" not in str(caught.value)


def test_a_folder_is_held_by_one_command_at_a_time(tmp_path: Path):
    code = (
        "import sys, pathlib\n"
        "from bench.machine.locking import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        words = rf"in use by process {other.pid} on .* since"
        with pytest.raises(UserError, match=words), locked(tmp_path):
            raise AssertionError("two hold it")
        other.kill()  # its lock dies with it
        other.wait()
    with locked(tmp_path):
        assert (tmp_path / ".lock").exists()
    assert not list(tmp_path.iterdir())


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path: Path):
    path, texts = tmp_path / "shared.txt", [letter * 200_000 for letter in "abcdefgh"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: write_text(path, text), texts))
    (found,) = contents(tmp_path).values()
    assert found in texts


def test_text_file_gets_its_folder_and_is_utf8(tmp_path: Path):
    path = tmp_path / "one" / "two" / "text.txt"
    write_text(path, "café")
    assert path.read_bytes() == "café".encode()
