"""Records to canonical tables to one row per index admission, as of a prediction time."""
