"""What the training scripts under models/ share: data, training loop, export, checks, reports."""
