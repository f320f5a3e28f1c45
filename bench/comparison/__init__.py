"""Figures of finished runs: intervals, paired differences and verdicts, and their tables.

`row` defines the figures, `frame` the columns that show them; `summary` and `verdicts` compute
them; `tables`, `latex` and `show` render them; `across` compares several banks, and `gate` judges
new runs by a baseline.

May import: bench.runs, bench.statistics, episodes and its rooms.
"""
