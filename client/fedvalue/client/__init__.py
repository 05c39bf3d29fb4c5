"""The site node: the only room that ever sees a patient."""
