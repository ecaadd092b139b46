"""The clocks as the doctor sees them over real HTTP."""

from pathlib import Path

from processes import bidder, sim, write_config


def clock_of(tmp_path: Path, *arguments: str) -> dict[str, object]:
    """Return what the doctor finds of the clocks beside a simulated exchange."""
    with sim("--no-rivals", *arguments) as root:
        document = bidder("doctor", "-c", str(write_config(tmp_path, root)), "--json").document
    found: dict[str, object] = next(each for each in document["checks"] if each["name"] == "clock")
    return found


def test_an_exchange_in_real_time_tells_what_time_it_is(tmp_path: Path) -> None:
    """Its answers carry a `Date`, as the real one's do, and the doctor compares."""
    found = clock_of(tmp_path)
    assert found["state"] == "ok"
    assert "agree to within" in str(found["finding"])


def test_an_exchange_whose_time_runs_faster_says_no_date(tmp_path: Path) -> None:
    """Its clock would be off by more with each second; the doctor says what is missing."""
    found = clock_of(tmp_path, "--speed", "50")
    assert found["state"] == "unknown"
    assert "its answers carry no `Date`" in str(found["remedy"])
