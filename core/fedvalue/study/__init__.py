"""The study protocol: what is asked, of whom, at what privacy price, for which payment standard."""
