"""The folder for files that can be regenerated: rendered videos and features."""

import os
from pathlib import Path

import platformdirs

ENVIRONMENT_VARIABLE = "FVBENCH_CACHE"


def cache_folder() -> Path:
    """Return the cache folder: ``$FVBENCH_CACHE``, or the platform's cache folder."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path("fewshot-video-bench")
