"""What the commands print about the performance of a model."""
