"""Requests that wait for a model whose inference pool has no endpoint yet."""
