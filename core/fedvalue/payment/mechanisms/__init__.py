"""Payment mechanisms, one a module: what a contract says, on exact figures, in flows that name who bears them."""
