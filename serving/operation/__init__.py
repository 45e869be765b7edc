"""How the server is run: its metrics, readiness, logs, and the limits of its connections."""
