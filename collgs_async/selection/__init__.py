"""Which of the products that a search finds are wanted, and the plans that record them."""
