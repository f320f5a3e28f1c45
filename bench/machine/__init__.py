"""The machine: devices and timing, the processes of a job, progress.

May import: episodes.
"""
