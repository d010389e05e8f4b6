"""The runs that a table or figure is made of: which they are, what they cost, and making them."""
