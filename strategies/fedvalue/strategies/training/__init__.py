"""Training over the private sum: models, rounds, and what leaves a site."""
