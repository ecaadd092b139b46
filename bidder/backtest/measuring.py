"""The regret meter in a process of its own, so that the daemon's passes and its memory are its own.

The question goes in on standard input and the answer comes out on standard output, as text of the
domain's values: neither the database's address nor anything else stands on a command line.

Rejected: a thread, which would hold the interpreter's lock for most of the time that the passes need it.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from bidder.domain import canonical
from bidder.domain.ids import AccountName
from bidder.domain.policy import Policy
from bidder.domain.regret import Regret
from bidder.errors import MeterFailed

_PATIENCE_SECONDS = 1800.0
_POLITENESS = 10
# A thread for each core would cost memory and gain nothing: the arrays are small.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def in_child(database_url: str) -> Callable[[Policy, datetime, datetime], Awaitable[tuple[Regret, ...]]]:
    """Return a way to measure a span of a database in another process.

    What it returns raises MeterFailed where no answer came, and ends the process when it is cancelled.
    """

    async def measure(policy: Policy, begin: datetime, end: datetime) -> tuple[Regret, ...]:
        question = canonical.dump(
            {"database": database_url, "policy": policy, "begin": begin, "end": end}
        )
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # what lies in the folder where the daemon runs is no module of ours
            "-m",
            "bidder.backtest.measuring",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **_ONE_THREAD},
        )
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                said, complaint = await child.communicate(question.encode())
        except TimeoutError:
            raise MeterFailed(f"no answer within {_PATIENCE_SECONDS:.0f} seconds") from None
        finally:
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        if child.returncode != 0:
            lines = complaint.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise MeterFailed(f"the calculation ended with code {child.returncode}: {lines[-1][:300]}")
        try:
            found: tuple[Regret, ...] = canonical.load(said.decode())
        except ValueError as exc:
            raise MeterFailed(f"the calculation's answer cannot be read: {exc}") from exc
        return found

    return measure


def main() -> int:
    """Answer the question on standard input."""
    from bidder.backtest.meter import measure
    from bidder.errors import BidderError
    from bidder.store.engine import open_engine
    from bidder.store.queries import Queries

    with suppress(OSError, AttributeError):
        os.nice(_POLITENESS)
    with suppress(OSError):
        # Where memory is short it is this process that goes, never the daemon.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    asked = canonical.load(sys.stdin.read())
    policy: Policy = asked["policy"]
    engine = open_engine(asked["database"])
    try:
        queries = Queries(engine, AccountName(policy.account))
        found = measure(queries, policy, asked["begin"], asked["end"])
    except BidderError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    finally:
        engine.dispose()
    sys.stdout.write(canonical.dump(found.regrets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
