"""What a table does not show: where methods differ, class by class and query by query."""
