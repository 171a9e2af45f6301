"""Triton's statistics of models: what the inference endpoints count, summed, and what the cache counts."""
