"""What the people who run the machines see: structured logs, numbers for a monitor, a health endpoint.

Nothing here knows of patients, and what it is given must not either: each event and each number is declared
where it is made, with the reason why no patient can move it.
"""
