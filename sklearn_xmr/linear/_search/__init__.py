"""Search: the best labels of a query in the weights of all levels."""
