"""CDS Hooks 2.0: cards in the workflow of an EHR, and what became of them."""
