"""Predictions in own mode: the fast path, the general path, and the span that a prediction is."""
