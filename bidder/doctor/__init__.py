"""``bidder doctor``: what is wrong with anything that trading rests on, and what to do."""
