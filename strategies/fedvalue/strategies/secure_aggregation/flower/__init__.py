"""Secure aggregation for ordinary Flower apps: a strategy around theirs, and a mod for their ClientApp."""
