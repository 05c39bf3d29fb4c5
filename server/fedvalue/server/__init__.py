"""The coordinator, and what payers and researchers see."""
