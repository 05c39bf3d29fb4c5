"""Figures that a kind of analysis has of its own: forest plot, love plot, decision curve and others."""
