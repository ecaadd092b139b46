"""Speed, each figure beside its limit and a baseline of the same run; never asserted in a test."""
