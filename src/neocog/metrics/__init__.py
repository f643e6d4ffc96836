"""Metrics: pure functions from arrays of logits, probabilities and labels to numbers."""
