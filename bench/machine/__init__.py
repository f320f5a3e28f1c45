"""The machine: devices and timing, processes of one job, progress, what a run happened on.

May import: bench, episodes.
"""
