"""What of a configuration may change while the daemon runs, and what needs a restart."""

import dataclasses

from bidder.config.needs import Part
from bidder.config.settings import Settings

# The daemon takes these up between two passes. Whatever is not named here needs a restart, so that
# a setting that comes later is refused until somebody has thought about it. What the guard does is no
# business of the daemon's.
_TAKEN_UP = frozenset(
    (
        "path",
        "log",
        "policy",
        "fingerprint",
        "warnings",
        "token_missing",
        "token_remedy",
        "guard",
        "unresolved",
        "text",
    )
)
_NAMES = {
    "account": "account.name",
    "token": "the API token",
    "database_url": "database",
    "exchange_url": "exchange.url",
    "receivers": "notices",
}
_MODE = "mode"


def restart_keys() -> tuple[str, ...]:
    """Return all keys that a running daemon cannot take up, by the names that messages have for them."""
    return (*(_NAMES.get(name, name) for name in _built_with()), _MODE)


def needs_restart(before: Settings, after: Settings) -> tuple[str, ...]:
    """Return the keys that changed and that a running daemon cannot take up; never their values."""
    changed = [
        _NAMES.get(name, name) for name in _built_with() if getattr(before, name) != getattr(after, name)
    ]
    # Two secrets that were left out are alike where both are named alike.
    for part, name in ((Part.NOTICES, "notices"), (Part.WEB, "web")):
        if name not in changed and _references(before, part) != _references(after, part):
            changed.append(name)
    if before.policy.mode is not after.policy.mode:
        changed.append(_MODE)
    return tuple(changed)


def _built_with() -> tuple[str, ...]:
    return tuple(each.name for each in dataclasses.fields(Settings) if each.name not in _TAKEN_UP)


def _references(settings: Settings, part: Part) -> set[tuple[str, str]]:
    return {(each.key, each.reference) for each in settings.unresolved if each.part is part}
