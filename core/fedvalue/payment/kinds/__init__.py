"""What each mechanism derives from evidence, computes for a standard, and says of it: one page a family."""
