"""For users: dehazed photographs, ONNX."""
