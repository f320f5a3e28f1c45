"""Trained weights: recipes, cards, hashes of the shipped ones, and which method gets which.

May import: bench, bench.runs, episodes, episodes.banks.
"""
