"""A trained model on its way out: its package, its ONNX form, what a card says of it."""
