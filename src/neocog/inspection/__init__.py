"""The inside of any nn.Module: layer outputs, shapes, FLOPs, receptive fields."""
