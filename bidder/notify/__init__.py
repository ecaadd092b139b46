"""Telling the owner: what waits to be sent, how it is sent, and the threads that send it."""
