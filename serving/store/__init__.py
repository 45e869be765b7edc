"""What the server keeps: predictions, keys, heads of the audit log, feedback; and the database it is in."""
