"""Training: what makes the weights that are shipped."""
