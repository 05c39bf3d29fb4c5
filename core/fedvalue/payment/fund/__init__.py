"""What a standard does to the fund: budget impact, redline, stress, solvency, tail risk."""
