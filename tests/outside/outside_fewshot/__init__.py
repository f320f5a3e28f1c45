"""What somebody else brings: a method with a helper module, a backbone, a data set with a bank."""
