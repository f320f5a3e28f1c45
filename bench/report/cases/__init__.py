"""Cases: single queries on which the branches of MASTAF disagree, counted and drawn.

May import: what `bench.report` may, but of its rooms only `charts.style`.
"""
