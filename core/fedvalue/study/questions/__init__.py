"""What a study asks: one page for each kind of analysis."""
