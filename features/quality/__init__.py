"""The check of a data set: what every row must keep, what changed, and the report of both."""
