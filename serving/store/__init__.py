"""What the server keeps of its answers: predictions, the worklist made of them, feedback on cards."""
