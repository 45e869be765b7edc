"""How good a model is: pure functions on arrays and tables."""
