"""The private sum as pure functions: who must answer, and what the answers may be combined into."""
