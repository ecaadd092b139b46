"""What every command does first: read the configuration, set up the log, say the warnings."""

import os
from datetime import UTC, datetime
from pathlib import Path

from bidder.cli.failures import complain
from bidder.config import ConfigProblems, Settings, kept, load_settings
from bidder.config.needs import NOTHING, Needs
from bidder.domain.strategies import deadline
from bidder.telemetry import configure_logging


def read_settings(
    config: Path,
    *,
    for_daemon: bool = False,
    needs: Needs = NOTHING,
    outlives: bool = False,
    option: str = "-c",
) -> Settings:
    """Return the checked settings, with the log set up so that it shows no secret.

    A command logs warnings only, as text for its user; the daemon as the configuration says. ``needs``:
    the secrets without which the command is of no use; others may be missing. What ``outlives`` a file
    that cannot be used goes by the configuration that the daemon took up last, and warns. ``option`` is
    what the user named the file with.

    Raises:
        ConfigProblems: the configuration cannot be used.
    """
    configure_logging("warning", "console")
    try:
        settings = load_settings(config, os.environ, needs=needs, option=option)
    except ConfigProblems as exc:
        if not outlives:
            raise
        settings = _taken_up_last(config, exc, needs)
    if for_daemon:
        configure_logging(settings.log.level, settings.log.format, secrets=settings.secret_values)
    else:
        configure_logging("warning", "console", secrets=settings.secret_values)
    return settings


def _taken_up_last(config: Path, wrong: ConfigProblems, needs: Needs) -> Settings:
    copy = kept.find(config, os.environ)
    if copy is None:
        raise wrong
    try:
        settings = load_settings(config, os.environ, needs=needs, copy=copy)
    except ConfigProblems:
        # What is wrong then is not the file alone, and its own errors are what can be mended.
        raise wrong from None
    complain(str(wrong), kind="warning")
    complain(f"{config} cannot be used; going by what the daemon took up last ({copy})", kind="warning")
    return settings


def read_checked(config: Path, *, needs: Needs, option: str = "-c") -> Settings:
    """Return the settings after everything has been tried that `bidder check` tries.

    Raises:
        BadInput: the configuration, a receiver of notices or the database cannot be used.
    """
    from bidder.wiring import build_notifiers, inspect_database

    settings = read_settings(config, needs=needs, option=option)
    build_notifiers(settings)
    inspect_database(settings)
    return settings


def warnings_of(settings: Settings, *, left_out: Needs = NOTHING) -> tuple[str, ...]:
    """Return what the owner should know but that stops nothing; some of it depends on the hour.

    ``left_out``: of these parts the secrets that could not be looked at are named as well.
    """
    now = datetime.now(UTC)
    found = ((target.name, deadline.concern(target, now)) for target in settings.policy.targets)
    jobs = (f"{settings.path}: strategy {name}: {concern}" for name, concern in found if concern)
    unseen = (str(each) for each in settings.unresolved if each.part in left_out.parts)
    return (*settings.warnings, *jobs, *unseen)


def say_warnings(settings: Settings, *, left_out: Needs = NOTHING) -> None:
    """Print what the owner should know but that stops nothing; ``left_out`` as in ``warnings_of``."""
    for warning in warnings_of(settings, left_out=left_out):
        complain(warning, kind="warning")
