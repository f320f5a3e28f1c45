"""Attacks: what is broken on purpose, one kind to a file, and what the program makes of it.

``python -m tests.attacks KIND [N]`` runs a kind N times and prints the rows of
docs/reliability.md; the suite runs each in a small form (tests/test_attacks.py).
"""
