"""How a round runs over Flower: both halves of each method in one place."""
