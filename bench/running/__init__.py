"""One run: banks and methods in, rows out."""
