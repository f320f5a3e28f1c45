"""The machine: devices and timing, processes of one job, progress.

May import: episodes.
"""
