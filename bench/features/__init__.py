"""Features of videos and of class names: computed once for each, and kept on disk.

May import: bench, bench.machine, bench.plugins, bench.runs, bench.weights, methods.backbones,
episodes and its rooms.
"""
