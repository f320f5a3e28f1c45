"""The machine: devices and timing, the processes of a job, locks and progress.

`installation` checks the installed packages, `surroundings` what a method or a plugin changes for
the whole process.

May import: episodes.
"""
