"""Trained weights: their cards, which method gets which, and files that are shipped."""
