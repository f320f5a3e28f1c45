"""Finding methods, writing new plugins, and hashing the meaning of code.

May import: bench, methods, methods.fast, methods.parity, episodes.
"""
