"""How many servers the owner wants at present: what is held is measured by that."""

from bidder.domain.policy import DeadlineParams, Policy, Target
from bidder.domain.strategies import deadline
from bidder.domain.view import View


def servers(target: Target, view: View) -> int:
    """Return how many servers a target wants: none where it is disabled or its job is done."""
    done = isinstance(target.params, DeadlineParams) and deadline.is_done(target, target.params, view)
    return 0 if done or not target.enabled else target.want


def of_all(policy: Policy, view: View) -> int:
    """Return how many servers all targets want together."""
    return sum(servers(target, view) for target in policy.targets)
