"""The champions in memory, and whether records are of their kind."""
