"""Evidence: what a study found, signed, with everything needed to follow it back to its releases."""
