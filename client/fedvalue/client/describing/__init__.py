"""How good a hospital's records are, said to that hospital alone."""
