"""Cases: single queries on which the branches of MASTAF disagree, counted and drawn."""
