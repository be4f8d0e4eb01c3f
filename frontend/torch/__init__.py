"""Models of PyTorch to `tn`: modules, exported programs and .pt2 archives."""
