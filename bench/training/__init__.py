"""Training: episodes of training classes in, weights with their card out.

May import: bench, bench.machine, bench.plugins, bench.runs, bench.weights, bench.features,
bench.running, bench.conformance, methods.backbones, methods.parity, episodes and its rooms.
"""
