"""Models and their clipped gradients: pure functions of parameters and rows, without transport."""
