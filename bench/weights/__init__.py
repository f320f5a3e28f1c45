"""Trained weights: their cards, the hashes of shipped ones, and which method gets which.

May import: bench, bench.runs, episodes.
"""
