"""A foreign inference server in the place of ours: the same legs, carried by plain ModelInfer calls."""
