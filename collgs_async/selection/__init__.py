"""Select among the products of a search, and record the selection in plans."""
