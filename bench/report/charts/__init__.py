"""Charts of comparisons: the same drawing in the report and as files of their own."""
