"""What happens inside a network: any `nn.Module` and tensors in, tensors out."""
