"""Federated analyses: one page each, two halves each."""
