"""The commands of ``fvbench``: one file each, with the body that only it uses.

Heavy imports stand inside the functions, since `--help` must not wait for torch. Nothing imports a
command but `bench.__main__`.

May import: everything.
"""
