"""Simulated days on which everything goes wrong, and the checks that must hold all the same."""
