"""What became of each episode: the labels, and what they rest on."""
