"""What makes commands pleasant: one run in two folders, default places, short lists, the cache."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bench.features.store import FeatureStore
from bench.method import FeatureShape
from bench.runs.directory import read_runs, write_run
from episodes import cache
from episodes.cache import ENVIRONMENT_VARIABLE
from tests.command import refused, succeeds
from tests.synthetic import answered


def test_a_reference_in_several_folders_is_one_run(tmp_path: Path):
    folders = (tmp_path / "one", tmp_path / "other")
    for folder, method, hits in zip(folders, ("otam", "mean"), (0.7, 0.6), strict=True):
        write_run(folder / "protonet", answered("protonet", 0.5))
        write_run(folder / method, answered(method, hits, seed=1))
    assert len(read_runs(folders)) == 3
    for words in (("compare", *folders), ("tables", *folders)):
        said = succeeds(*words, "--reference", "protonet")
        assert all(name in said for name in ("otam", "mean"))


class TestDefaultPlaces:
    def test_runs_of_other_lengths_lie_apart(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        for words in (("1",), ("2",), ("1", "--bank", "default-order")):
            succeeds("run", "--methods", "chance", "--episodes", *words)
        found = {path.relative_to(tmp_path).parts[2] for path in tmp_path.rglob("run.json")}
        assert found == {"run-1", "run-2", "run-default-order-1"}

    @pytest.mark.usefixtures("without_charts")
    def test_a_report_lies_beside_its_runs(self, tmp_path: Path):
        write_run(tmp_path / "otam", answered("otam", 0.6, episodes=4))
        write_run(tmp_path / "protonet", answered("protonet", 0.5, episodes=4))
        succeeds("report", tmp_path)
        assert (tmp_path / "report.html").is_file()
        succeeds("report", tmp_path / "otam")
        assert not (tmp_path / "otam" / "report.html").exists()

    @pytest.mark.parametrize("name", ["x.pdf", "x", "x.htm"])
    def test_a_report_is_a_page(self, name: str, tmp_path: Path):
        write_run(tmp_path / "otam", answered("otam", 0.6))
        assert "ends in .html" in refused("report", tmp_path, "--out", tmp_path / name)


class TestCommandLine:
    def test_methods_are_listed_in_few_columns_unless_told_otherwise(self):
        short, long = (succeeds("list", "methods", *words) for words in ((), ("--long",)))
        assert "CVPR" not in short
        assert "CVPR" in long
        assert max(map(len, short.splitlines())) <= 80

    def test_minus_h_is_help(self):
        assert succeeds("run", "-h") == succeeds("run", "--help")

    def test_shell_completion_is_offered(self):
        assert "--install-completion" in succeeds("--help")

    def test_a_closed_pipe_is_no_defect(self):
        listing = subprocess.Popen(
            [sys.executable, "-m", "bench", "cache", "show"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        listing.stdout.close()
        assert listing.stderr.read() == b""
        listing.wait()

    @pytest.mark.usefixtures("own_config")
    def test_a_root_that_holds_nothing_known_registers_nothing(self, tmp_path: Path):
        (tmp_path / "empty").mkdir()
        for name in ("ucf101", "egogestar"):
            said = refused("data", "add", name, "--root", tmp_path / "empty")
            assert "nothing was registered; name the folder that holds them" in said
        assert not list((tmp_path / "config").rglob("*.json"))


class TestCache:
    @pytest.fixture(autouse=True)
    def own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Two stores, as two runs that have ended would leave them."""
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
        for number in range(2):
            identity = {
                "backbone": "net",
                "sampling": "linspace",
                "weights_sha256": f"{number}" * 64,
            }
            FeatureStore(tmp_path / "features", identity, FeatureShape(2, 1, 1, 1))
        self.let_go()
        yield
        self.let_go()

    def let_go(self) -> None:
        for file in cache.held_locks.values():
            os.close(file)
        cache.held_locks.clear()

    def test_it_is_shown(self):
        shown = json.loads(succeeds("cache", "show", "--json"))
        assert {one["holds"] for one in shown} == {
            "net, linspace, weights 00000000",
            "net, linspace, weights 11111111",
        }
        assert not any(one["in_use"] for one in shown)
        assert "weights 11111111" in succeeds("cache", "show")

    def test_files_that_vanish_meanwhile_do_not_matter(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        folder, other = sorted((tmp_path / "features").iterdir())
        written = [folder / name for name in ("1.unfinished", "2.unfinished")]
        for path in written:
            path.touch()
        found = Path.stat

        def stat(path: Path, **words: bool) -> os.stat_result:
            status = found(path, **words)
            if path.suffix == ".unfinished":
                for one in written:
                    one.unlink(missing_ok=True)
                shutil.rmtree(other, ignore_errors=True)
            return status

        monkeypatch.setattr(Path, "stat", stat)
        shown = json.loads(succeeds("cache", "show", "--json"))
        assert [one["folder"] for one in shown] == [str(folder)]

    @pytest.mark.parametrize(
        ("refuses", "shown", "printed"), [(os.O_RDWR, True, "now"), (0, None, "unknown")]
    )
    def test_the_lock_of_another_user_is_only_read(
        self, refuses: int, shown: bool | None, printed: str, monkeypatch: pytest.MonkeyPatch
    ):
        found = os.open

        def opened(path: Path, flags: int, *mode: int) -> int:
            if Path(path).name == cache.MARK and flags & refuses == refuses:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return found(path, flags, *mode)

        for folder in Path(os.environ[ENVIRONMENT_VARIABLE], "features").iterdir():
            cache.hold(folder)
        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert [one["in_use"] for one in json.loads(succeeds("cache", "show", "--json"))] == [
            shown
        ] * 2
        assert printed in succeeds("cache", "show")

    def test_what_is_in_use_is_kept(self, tmp_path: Path):
        identity = {"backbone": "net", "sampling": "linspace", "weights_sha256": "0" * 64}
        store = FeatureStore(tmp_path / "features", identity, FeatureShape(2, 1, 1, 1))
        said = succeeds("cache", "clean", "--all")
        assert "kept, a process is using it: features net, linspace, weights 0000" in said
        assert list((tmp_path / "features").iterdir()) == [store.folder]

    def test_two_may_remove_the_same(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        found = cache.parts()
        monkeypatch.setattr(cache, "parts", lambda: found)
        shutil.rmtree(tmp_path / "features")
        assert "removed 2 folders" in succeeds("cache", "clean", "--all")

    def test_what_others_own_is_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        theirs, own = (part.folder for part in cache.parts())
        remove = shutil.rmtree

        def removed(folder: Path) -> None:
            if folder == theirs:
                raise PermissionError(errno.EACCES, "Permission denied", str(folder))
            remove(folder)

        monkeypatch.setattr(shutil, "rmtree", removed)
        said = succeeds("cache", "clean", "--all")
        assert "kept, Permission denied: features net, " in said
        assert "removed 1 folder," in said
        assert theirs.exists()
        assert not own.exists()

    def test_what_was_used_of_late_is_kept_if_so_asked(self, tmp_path: Path):
        old, new = sorted((tmp_path / "features").iterdir())
        long_ago = (old / cache.MARK).stat().st_mtime - timedelta(days=40).total_seconds()
        os.utime(old / cache.MARK, (long_ago, long_ago))
        assert "removed 1 folder," in succeeds("cache", "clean", "--unused-days", "30")
        assert list((tmp_path / "features").iterdir()) == [new]

    def test_more_days_than_there_are_dates_are_refused(self, tmp_path: Path):
        for days in ("inf", "1e7"):
            said = refused("cache", "clean", "--unused-days", days)
            assert "is not in the range" in said or "less than" in said
        assert len(list((tmp_path / "features").iterdir())) == 2

    def test_all_of_one_kind_leaves_the_others(self, tmp_path: Path):
        assert "removed 0 folders" in succeeds("cache", "clean", "--all", "--kind", "text")
        assert len(list((tmp_path / "features").iterdir())) == 2

    def test_a_folder_that_cannot_be_locked_is_closed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        opened = []

        def fails(file: int, _: int) -> None:
            opened.append(file)
            raise OSError("no locks available")

        monkeypatch.setattr("episodes.cache.fcntl.flock", fails)
        cache.hold(tmp_path)
        (file,) = opened
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(file)

    def test_a_file_is_no_cache(self, tmp_path: Path):
        file = tmp_path / "file"
        file.touch()
        for command in (("show",), ("show", "--json"), ("clean", "--all")):
            said = refused("cache", *command, "--cache", file)
            assert f"{file} is a file" in said
            assert said.count("\n") == 1

    def test_nothing_is_removed_by_mistake(self, tmp_path: Path):
        assert "say what to remove" in refused("cache", "clean")
        assert "the cache holds no 'runs'" in refused("cache", "clean", "--kind", "runs")
        shutil.rmtree(tmp_path / "features")
        assert "0.0 MB" in succeeds("cache", "show")
