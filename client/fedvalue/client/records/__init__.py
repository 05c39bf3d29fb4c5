"""The records room: from a hospital's own files to one row per patient. The only room that sees them."""
