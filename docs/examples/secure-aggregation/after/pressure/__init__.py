"""Five hospitals fit one line: blood pressure by age, weight and salt."""
