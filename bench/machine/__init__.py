"""The machine: devices and timing, the processes of a job, locks and progress.

`installation` checks the installed packages, `surroundings` what a method or a plugin changes for
the whole process, of which `states` reads and restores the parts.

May import: episodes.
"""
