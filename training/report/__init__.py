"""A model's report: one page with the evidence that a reviewer asks for, and what it leaves open."""
