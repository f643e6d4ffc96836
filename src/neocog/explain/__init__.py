"""Explanations of what a network does with an image: any nn.Module and tensors in, tensors out."""
