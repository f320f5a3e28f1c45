"""Banks of episodes: recipes, what is drawn from them, and what gaps on a disk do to both."""
