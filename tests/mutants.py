"""Playing a chaotic day only as far as it shows what it is played for."""

from bidder.chaos.day import ChaosDay


class _Caught(BaseException):
    """The invariant was violated, and the rest of the day need not be played."""


def caught(day: ChaosDay, invariant: str) -> str | None:
    """Return the first violation of an invariant as the timeline tells it; None where there is none.

    The day is played no further than that.
    """
    found: list[str] = []

    def stop(line: str) -> None:
        if f"VIOLATED {invariant}:" in line:
            found.append(line)
            raise _Caught

    day.timeline.tell = stop
    try:
        day.run()
    except _Caught:
        return found[0]
    finally:
        day.close()
    return None
