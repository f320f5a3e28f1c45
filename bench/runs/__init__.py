"""Finished runs on disk: what was answered, what identifies it, and which runs are of one method.

May import: bench, bench.machine, bench.statistics, episodes, episodes.banks.
"""
