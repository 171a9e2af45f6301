"""`trireme optimize`: variants of a model that is served, measured against it and, if wanted, published."""
