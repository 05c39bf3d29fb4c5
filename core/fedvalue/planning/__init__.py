"""The privacy plan of a study: which releases, which scales, at what price."""
