"""Runs: banks and methods in, rows out. Every accuracy comes from `bench.running.loop`.

May import: bench, bench.machine, bench.plugins, bench.runs, bench.weights, bench.features, episodes
and its rooms.
"""
