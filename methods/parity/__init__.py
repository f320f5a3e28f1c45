"""Outputs of authors' code, recomputed by the methods here: one file beside each method.

May import: bench, methods, methods.parts.
"""
