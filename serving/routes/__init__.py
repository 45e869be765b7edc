"""The routes of the API, a file each. Here alone callers are checked, reads recorded and places counted."""
