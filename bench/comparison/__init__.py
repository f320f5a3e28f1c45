"""Figures of finished runs: intervals, paired differences and verdicts, and their tables.

`row` and `frame` say what they are and how they are shown, `summary` and `verdicts` compute them,
`tables`, `latex` and `show` set them, `across` compares several banks, `gate` judges new runs by a
baseline.

May import: bench, bench.runs, bench.statistics, bench.weights, episodes and its rooms.
"""
