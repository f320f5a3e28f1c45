"""The same methods on several banks: do the banks agree on which method is better?"""
