"""Made-up hospitals with planted truth, for the demonstration and for tests.

`worlds` says what is true, `hospitals.make_hospitals` writes folders that show it as hospitals would,
`sample.sample_cohort` draws the same people without files, `expected` computes what must be found, and
`studies` holds the two packaged studies.
"""
