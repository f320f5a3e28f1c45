"""Features: computed once for each unique video, kept on disk, mapped into memory."""
