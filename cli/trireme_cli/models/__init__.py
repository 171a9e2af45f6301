"""`trireme models`: what is served, what stands in the repository, and whether it can be served."""
