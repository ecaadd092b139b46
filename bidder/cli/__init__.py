"""The command line: parse, call, print, exit. Nothing is decided here."""

from bidder.cli.early import mind_process_one

# Before the other modules are loaded, which takes a while.
mind_process_one()
