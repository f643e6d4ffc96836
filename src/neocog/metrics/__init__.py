"""From logits and labels to numbers: pure functions of arrays."""
