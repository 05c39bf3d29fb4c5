"""Figures of payment: what a decision does to money, drawn from pure functions like every other figure."""
