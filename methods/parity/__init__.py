"""What each method's authors' code computed, recomputed by ours: one file beside each method."""
