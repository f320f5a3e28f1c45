"""The report: one page with everything that people ask of a comparison, in one file."""
