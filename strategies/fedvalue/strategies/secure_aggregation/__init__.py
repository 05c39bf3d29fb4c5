"""Sums over sites: the clear sum of this release, and the place of the private sum."""
