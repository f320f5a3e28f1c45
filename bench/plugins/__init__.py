"""Finding methods, wherever they are kept; writing new plugins; the hash of what code means.

May import: bench, methods, methods.fast, methods.parity, episodes.
"""
