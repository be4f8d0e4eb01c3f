"""Programs as ONNX models: for other tools, and as the second opinion of `verify` and peer of `bench`."""
