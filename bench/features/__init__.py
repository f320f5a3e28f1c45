"""Features: computed once for each unique video and kept on disk."""
