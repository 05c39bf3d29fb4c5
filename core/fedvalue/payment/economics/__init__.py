"""Cost-effectiveness: joint draws or moments in, net benefit, frontier, value of information out."""
