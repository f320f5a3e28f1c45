"""What intervals cover, tried on simulated classes, videos and methods whose truth is known."""
