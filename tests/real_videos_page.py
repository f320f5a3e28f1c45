"""The page ``docs/real-videos.md``: every table in it is what the command above it prints.

``python -m tests.real_videos_page`` writes the tables anew from the committed rows.
"""

from pathlib import Path

from tests.results_page import regenerated

PAGE = Path(__file__).parents[1] / "docs" / "real-videos.md"


if __name__ == "__main__":
    PAGE.write_text(regenerated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
