"""Benchmarks: figures with a bar, each beside what it is compared with.

A package of its own, and no part of a namespace: Opacus installs one of the same name beside its own, and the
one that is first on the path has to win.
"""
