"""What a policy would have paid: recorded markets, the same decisions, the best possible bids."""
