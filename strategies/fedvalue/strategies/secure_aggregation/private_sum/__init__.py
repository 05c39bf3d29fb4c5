"""The private sum over any transport: a site half, a coordinator half, and what travels between them."""
