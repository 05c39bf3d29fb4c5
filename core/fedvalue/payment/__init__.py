"""Payment: dated standards, mechanisms that read evidence, decisions that people approve."""
