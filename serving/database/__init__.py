"""The database of the server: its tables, its migrations, the way to it."""
