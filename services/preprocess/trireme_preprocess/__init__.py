"""The preprocess service: text, pictures and numbers to tensors."""
