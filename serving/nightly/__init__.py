"""Every admission of a data set scored in one run that can be taken up again; the rows written and stored."""
