"""What a GPU gives raw, and what of it is left through the inference service's own door."""
