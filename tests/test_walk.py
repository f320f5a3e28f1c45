"""The walk of a stranger: own videos, own method, a difference, a leaderboard, a gate."""

import re
import shlex
from pathlib import Path

import pytest

from tests.command import call
from tests.conftest import make_video
from tests.outside_package import plugins_as_they_were
from tests.test_readme import BLOCKS


def test_from_own_videos_to_a_page_and_a_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (code,) = (text for kind, text in BLOCKS if kind == "python" and "@register" in text)
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "last_frames.py").write_text(code)
    for number, kind in enumerate(4 * ("open-door", "close-door", "wave", "jump", "sit", "run")):
        path = tmp_path / "videos" / kind / f"clip-{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_video(path, frames=9 + number)
    monkeypatch.chdir(tmp_path)
    walk = """
        check-method methods/last_frames.py
        run --data videos --plugin methods --methods last-frames,protonet --episodes 10 --out mine
        compare mine --reference protonet
        publish mine --out site
        run --data videos --plugin methods --methods last-frames --episodes 10 --out new
        gate mine new --methods last-frames
    """
    said = {}
    with plugins_as_they_were():
        for line in walk.strip().splitlines():
            words = shlex.split(line)
            status, said[words[0]] = call(*words)
            assert status == 0, f"{line}\n{said[words[0]]}"
    verdict = r"^last-frames .* (better|worse|undecided|same answers)"
    assert re.search(verdict, said["compare"], re.MULTILINE)
    assert re.search(r"^last-frames .* ok$", said["gate"], re.MULTILINE)
    page = (tmp_path / "site" / "methods" / "last-frames.html").read_text(encoding="utf-8")
    assert "Score a query by the cosine of its last frames" in page
