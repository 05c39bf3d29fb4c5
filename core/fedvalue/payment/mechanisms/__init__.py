"""Payment mechanisms, one a module: terms, exact figures, and flows of money that name who bears them."""
