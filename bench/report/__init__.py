"""What people look at: charts, cases, and the page that holds all of a comparison in one file.

May import: bench, bench.machine, bench.plugins, bench.statistics, bench.runs, bench.weights,
bench.features, bench.running, bench.comparison, methods, episodes and its rooms.
"""
