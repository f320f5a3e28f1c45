"""Quicker forms of methods, each with the scores, losses and gradients of the one it stands for.

May import: bench, methods, methods.parts.
"""
