"""Store: the weights of a level in the bytes that the search reads."""
