"""The commands of ``fvbench``: one file each. Heavy imports stand inside the functions."""
