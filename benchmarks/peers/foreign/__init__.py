"""Serving frameworks of others, each serving a model of ours in an environment of its own.

These modules run on the environments that `benchmarks.peers.environments` makes, not on this repository's.
"""
