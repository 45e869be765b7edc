"""Requests, and the records they bring or ask for: read, checked, made to what the feature code takes."""
