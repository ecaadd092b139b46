"""The owner's side: the configuration and its secrets, and the database."""

from bidder.config.confidential import Survey
from bidder.doctor.case import Case
from bidder.doctor.findings import Finding, State, counted, parted, span
from bidder.errors import BadInput
from bidder.store.checkup import Health

_LITTLE_DISK = 500 * 1024 * 1024
_HARDLY_ANY_DISK = 20 * 1024 * 1024
# What must be so lest a power cut takes the request with it that was written down before it was sent.
_SAFE = {
    "sqlite": {"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"},
    "postgresql": {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"},
}


def configuration(case: Case) -> Finding:
    """Judge the configuration, which could be read."""
    settings, policy = case.settings, case.settings.policy
    active = [target for target in policy.targets if target.enabled]
    wanted = sum(target.want for target in active)
    summary = (
        f"{settings.path} is good: account {settings.account}, mode {policy.mode.value},"
        f" {counted(len(active), 'strategy').replace('strategys', 'strategies')} in use"
        f" for {counted(wanted, 'server')}."
    )
    facts = {
        "mode": policy.mode.value,
        "strategies": len(policy.targets),
        "strategies_enabled": len(active),
        "servers_wanted": wanted,
        "fingerprint": settings.fingerprint,
    }
    warnings = (*settings.warnings, *(str(each) for each in settings.unresolved))
    if not warnings:
        return Finding(name="configuration", state=State.OK, finding=summary, facts=facts)
    return Finding(
        name="configuration",
        state=State.WARNING,
        finding=f"{summary[:-1]}, with {counted(len(warnings), 'warning')}.",
        remedy="read the warnings below",
        details=warnings,
        facts=facts,
    )


def bad_configuration(exc: BadInput) -> Finding:
    """Return what is said of a configuration that cannot be used."""
    lines = str(exc).splitlines()
    finding, remedy = parted(lines[0]) if len(lines) == 1 else ("", "")
    return Finding(
        name="configuration",
        state=State.WRONG,
        finding=f"{finding or f'The configuration has {len(lines)} mistakes'}.",
        remedy=remedy or "mend the lines below; `bidder check` looks again",
        details=tuple(lines),
    )


def secrets(survey: Survey, path: str) -> Finding:
    """Judge who may read the files that hold secrets."""
    open_files = [f"{each.path} ({each.key})" for each in survey.files if each.exposed]
    if survey.inline and survey.exposed:
        open_files.append(f"{path} (holds a secret itself)")
    facts = {"files": len(survey.files), "exposed": len(open_files), "inline": survey.inline}
    if not open_files:
        where = "the configuration file" if survey.inline else "the environment"
        place = f"{counted(len(survey.files), 'file')} with secrets" if survey.files else where
        return Finding(
            name="secrets",
            state=State.OK,
            finding=f"No other user of this machine may read {place}."
            if survey.files or survey.inline
            else "No secret lies in a file that others may read.",
            facts=facts,
        )
    return Finding(
        name="secrets",
        state=State.WARNING,
        finding=f"Other users of this machine may read {counted(len(open_files), 'file')} with secrets.",
        remedy="chmod 600 each of them",
        details=tuple(open_files),
        facts=facts,
    )


def database(case: Case) -> Finding:
    """Judge the database: whole, safely set up, with room to grow."""
    records = case.records
    if records is None:
        assert case.trouble is not None
        return case.trouble
    health, info = records.health, records.info
    facts = {
        "kind": health.kind,
        "version": health.version,
        "revision": info.revision,
        "bytes": info.bytes,
        "free_bytes": info.free_bytes,
        "free_disk_bytes": health.free_disk_bytes,
        **health.settings,
    }
    details = [
        f"{health.kind} {health.version}, schema {info.revision}, {info.bytes / 1e6:.1f} MB",
        "raw history: none yet"
        if info.oldest is None
        else f"raw history goes back {span(case.now - info.oldest)}",
        "its backups are not recorded here; `bidder db backup FILE` makes one",
    ]
    if health.free_disk_bytes is not None:
        details.insert(1, f"free on its disk: {health.free_disk_bytes / 1e6:,.0f} MB")
    state, finding, remedy = _verdict(health, info.bytes)
    return Finding(
        name="database",
        state=state,
        finding=finding,
        remedy=remedy,
        details=(*health.problems, *details),
        facts=facts,
    )


def _verdict(health: Health, size: int) -> tuple[State, str, str]:
    if health.problems:
        return (
            State.WRONG,
            f"{health.place} is not whole.",
            "stop the daemon, keep a copy of the file, and restore a backup (docs/operations.md)",
        )
    unsafe = [
        f"{name} is {health.settings[name]}"
        for name, safe in _SAFE.get(health.kind, {}).items()
        if health.settings.get(name, safe) != safe
    ]
    if unsafe:
        return (
            State.WRONG,
            f"{health.place} may lose its newest commits in a power cut: {', '.join(unsafe)}.",
            "put the file on a local disk"
            if health.kind == "sqlite"
            else "set these on the server as they are by default",
        )
    free = health.free_disk_bytes
    if free is not None and free < max(_LITTLE_DISK, size // 4):
        state = State.WRONG if free < _HARDLY_ANY_DISK else State.WARNING
        return state, f"The disk of {health.place} is nearly full.", "make room on it"
    if health.exposed:
        return (
            State.WARNING,
            f"{health.place} is whole, and other users of this machine may read or write it.",
            f"chmod 600 {health.place}",
        )
    return State.OK, f"{health.place} is whole and safely set up.", ""
