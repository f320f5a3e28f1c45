"""Small places for attacks: videos, a recipe, and what of the results can be compared."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from episodes.cache import ENVIRONMENT_VARIABLE as CACHE
from episodes.disk.registration import ENVIRONMENT_VARIABLE as CONFIG
from tests.conftest import SMALL_RECIPE, make_video

CLASSES = ("open", "close", "wave", "jump", "sit")
SIZE = (64, 64)


@dataclass(frozen=True)
class Place:
    """A folder in which commands run."""

    folder: Path
    cache: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What leads commands to it."""
        return {CACHE: str(self.cache), CONFIG: str(self.folder / "config")}

    @property
    def videos(self) -> Path:
        """Five classes of two videos."""
        return self.folder / "videos"

    @property
    def recipe(self) -> Path:
        """Of a training of four steps."""
        return self.folder / "small.toml"


def make_place(folder: Path, cache: Path | None = None) -> Place:
    """Write videos and a recipe."""
    place = Place(folder, cache or folder / "cache")
    for number in range(10):
        path = place.videos / CLASSES[number % 5] / f"clip-{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_video(path, frames=12 + number, size=SIZE)
    place.recipe.write_text(SMALL_RECIPE)
    return place


def content(out: Path, leave_out: Sequence[str] = ()) -> dict[str, str]:
    """What a command made, by file: answers, weights and curves; times and places aside."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.name == "rows.parquet":
            rows = pd.read_parquet(path)
            found[name] = hashlib.sha256(rows.to_numpy().tobytes()).hexdigest()
        elif path.name == "run.json":
            identity = json.loads(path.read_text())["identity"]
            found[name] = json.dumps(identity, sort_keys=True)
        elif path.suffix in {".safetensors", ".csv"} and path.name not in leave_out:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix in {".svg", ".html", ".png"}:
            found[name] = "there"
    return found


def leftovers(folder: Path) -> list[Path]:
    """Unfinished files that nobody will finish."""
    return [*folder.rglob("*.unfinished*"), *folder.rglob("*.tmp*")]
