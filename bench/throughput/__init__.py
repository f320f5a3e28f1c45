"""How fast methods are, stage by stage, on random features of any shape."""
