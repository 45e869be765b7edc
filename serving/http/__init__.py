"""What every route shares: bodies within limits, answers, problems, the description."""
