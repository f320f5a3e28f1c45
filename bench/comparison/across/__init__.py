"""The same methods on several banks: whether the banks agree on which method is better."""
