"""How good a model is on rows that it did not learn from, looked at in every way that the extract allows."""
