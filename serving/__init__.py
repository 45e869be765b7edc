"""Champions to predictions with reasons: in a batch and over HTTP."""
