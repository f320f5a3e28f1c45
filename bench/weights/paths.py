"""Where the files that come with the program lie."""

from pathlib import Path

RESULTS_FOLDER = Path(__file__).parents[2] / "results"
"""The folder ``results/`` of a clone, or its copy beside the installed packages."""
WEIGHTS_FOLDER = RESULTS_FOLDER / "weights"
"""Shipped weights, each with a card."""
