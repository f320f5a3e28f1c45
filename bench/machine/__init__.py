"""The machine: devices, processes, packages, progress and what a run happened on."""
