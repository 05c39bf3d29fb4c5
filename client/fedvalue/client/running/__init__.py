"""What keeps a site running: its supervisor, its way to Flower, its doctor, its kill switch and its end."""
