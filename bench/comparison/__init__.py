"""Figures of finished runs: intervals, paired differences and verdicts, and their tables.

`frame` says what they are and how they are shown, `summary` computes them, `tables`, `latex` and
`show` set them, `across` sees several banks side by side, `gate` judges new runs by a baseline.

May import: bench, bench.runs, bench.statistics, bench.weights, episodes and its rooms.
"""
