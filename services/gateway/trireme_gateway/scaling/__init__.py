"""What an autoscaler is told of the inference pools."""
