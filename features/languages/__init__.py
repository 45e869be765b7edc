"""The catalogue in other languages than English: dated files of labels, and what reads them."""
