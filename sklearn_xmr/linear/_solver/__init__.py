"""Solve: the binary problems of all nodes, by dual coordinate descent."""
