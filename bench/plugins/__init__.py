"""Finding methods, wherever they are kept, and the hash of what their code means."""
