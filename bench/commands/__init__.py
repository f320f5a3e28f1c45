"""The commands of ``fvbench``: one file each, with the body that only it uses.

Subcommands share a file: those of `bank`, `cache`, `data` and `features`, and the two of `check`
and `new_plugin`. Commands share `options`, `config` and `arguments`, and the forecast of how long
`run` and `train` take (`forecast`, from what `measuring` measures). `diagnosis` is the part of
`doctor` that imports the packages for which `doctor` has looked.

Heavy imports stand inside the functions, since `--help` must not wait for torch. Nothing imports a
command but `bench.__main__`.

May import: everything.
"""
