"""Speed, as a ratio to a baseline of the same run; never asserted in a test."""
