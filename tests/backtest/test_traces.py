"""Files of recorded prices: what cannot be used is refused by its line, what is doubtful is told of."""

import gzip
import json
import re
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from backtest_traces import START
from documented import disagreements
from hypothesis import given
from hypothesis import strategies as st

from bidder.backtest.doubts import doubts, unread
from bidder.backtest.traces import Trace, read_trace
from bidder.cli.main import main
from bidder.errors import BadInput

HEADER = "ts_utc,market,price_usd,source"
ROW = "2026-01-01,a,1,s"


def trace_file(folder: Path, rows: list[str], header: str = HEADER) -> Path:
    """Write a small trace; return its file."""
    file = folder / "trace.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def regular(count: int, price: str = "0.1") -> list[str]:
    """Return rows ten minutes apart."""
    return [
        f"{(START + n * timedelta(minutes=10)).isoformat()},a,{price if n % 5 else '0.2'},s"
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([ROW, f'2026-01-02,a,1,"{"x" * 200_000}"'], "line 3: is no row of CSV .*field limit"),
        (["0001-01-01T00:00:00+02:00,a,1,s"], r"line 2: ts_utc .*got '0001-01-01T00.*1970 to 2199"),
        (["9999-12-31,a,1,s"], "line 2: ts_utc"),
        ([ROW, '2026-01-02,a,1,"s', *regular(20)], 'line 3: is no row of CSV .*close or double each "'),
        ([ROW, '2026-01-02,a,1,"s', '2026-01-03,a,1,s"'], "line 3: a field goes on in the next line"),
        ([ROW, "", '2026-01-02,a,1,"s"t'], "line 4: is no row of CSV"),
        ([ROW, "2026-01-02,a,0,12,s"], r"line 3: 5 fields, and the header names 4 \(got 's'"),
        ([ROW, "2026-01-02,a,sNaN,s"], "line 3: price_usd is no price"),
        ([ROW, "2026-01-02,a,1e9,s"], "line 3: price_usd is too high .*below 1000000000"),
        ([ROW], "single price; add a row"),
        ([], "no price in it; add rows"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_line(rows: list[str], told: str, tmp_path: Path) -> None:
    """With the file, the value and the remedy; never a foreign error, never a shorter trace."""
    with pytest.raises(BadInput, match=r"trace\.csv: .*" + told):
        read_trace(trace_file(tmp_path, rows))


def test_a_header_without_the_columns_is_told_all_of_them(tmp_path: Path) -> None:
    """Those needed and those found."""
    file = trace_file(tmp_path, [ROW], "time,market,price,source")
    needed = "missing in the header: ts_utc, price_usd .*'time, market, price, source'.*ts_utc, market,"
    with pytest.raises(BadInput, match=needed):
        read_trace(file)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such file"),
        (gzip.compress(b"x" * 1000)[:-9], "compression is damaged"),
        (gzip.compress(bytes(range(256)) * 9)[:12] + b"\xff" * 40, "compression is damaged"),
        (HEADER.encode("utf-16"), "not text in UTF-8"),
    ],
    # What is compressed holds the moment of it: no name of a test.
    ids=["absent", "cut off", "garbled", "UTF-16"],
)
def test_what_is_no_readable_file_is_told_in_plain_words(
    content: bytes | None, told: str, tmp_path: Path
) -> None:
    """By its name, with the remedy."""
    file = tmp_path / "trace.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput, match=rf"trace\.csv: cannot be read: .*{told}.*; name a CSV file"):
        read_trace(file)


def test_line_ends_of_every_system_are_read(tmp_path: Path) -> None:
    """Also in a file that was made long ago."""
    for end in ("\n", "\r\n", "\r"):
        file = tmp_path / "trace.csv"
        file.write_bytes(end.join([HEADER, *regular(3), ""]).encode())
        assert len(read_trace(file).moments) == 3


def test_a_hole_is_told_with_its_moment_and_length(tmp_path: Path) -> None:
    """A month without a row in a file that has one every ten minutes."""
    rows = [*regular(100), f"{(START + timedelta(days=30)).isoformat()},a,0.1,s"]
    found = doubts(read_trace(trace_file(tmp_path, rows)), "leave it out")
    assert len(found) == 1
    for part in ("trace.csv: a", "704h after 2026-01-01T16:30:00+00:00", "every 10m", "leave it out"):
        assert part in found[0]


def test_two_rows_far_apart_are_a_hole(tmp_path: Path) -> None:
    """Although there is no other distance to judge by."""
    found = doubts(read_trace(trace_file(tmp_path, [ROW, "2026-03-01,a,1,s"])), "")
    assert "no price for 59d after" in found[0]


@pytest.mark.parametrize(
    "gaps",
    [
        [timedelta(minutes=10)] * 50 + [timedelta(hours=23)],
        [timedelta(days=1)] * 50 + [timedelta(days=3)],
        [timedelta(days=20)],
    ],
    ids=["a quiet day", "daily rows", "two rows"],
)
def test_quiet_times_are_no_hole(gaps: list[timedelta], tmp_path: Path) -> None:
    """Many files have a row only where the price changes."""
    moments = [START + sum(gaps[:n], timedelta(0)) for n in range(len(gaps) + 1)]
    rows = [f"{at.isoformat()},a,{n % 3 + 1},s" for n, at in enumerate(moments)]
    assert doubts(read_trace(trace_file(tmp_path, rows)), "") == ()


def test_a_hole_outside_of_the_cut_is_not_told(tmp_path: Path) -> None:
    """Whoever does as the remedy says hears no more of it."""
    rows = [*regular(100), f"{(START + timedelta(days=30)).isoformat()},a,0.1,s"]
    trace = read_trace(trace_file(tmp_path, rows))
    assert doubts(trace.cut(None, START + timedelta(hours=16)), "") == ()


def test_two_prices_at_one_moment_are_told_and_the_last_row_counts(tmp_path: Path) -> None:
    """The same price twice is nothing to tell of."""
    rows = [*regular(6), regular(3, "0.7")[-1], regular(2)[-1]]
    trace = read_trace(trace_file(tmp_path, rows))
    assert str(trace.prices[2]) == "0.7"
    (found,) = doubts(trace, "")
    assert "different prices for 2026-01-01T00:20:00+00:00, and the last row" in found


@pytest.mark.parametrize("command", ["backtest", "advise"])
def test_the_commands_warn_of_a_doubtful_file(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, and in the document."""
    file = trace_file(tmp_path, [*regular(20), regular(6, "0.7")[-2]])
    options = ["--value", "0.2", "--strategies", "fixed"] if command == "backtest" else ["--keep", "30m"]
    assert main([command, "--trace", str(file), *options, "--json"]) == 0
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert disagreements(document, command) == []
    assert shown.err == f"warning: {document['warnings'][0]}\n"
    assert "different prices" in shown.err


def holding(*seconds: float) -> Trace:
    """Return a trace whose two prices hold for so long each, in turn."""
    ends = [sum(seconds[:number]) for number in range(len(seconds) + 1)]
    moments = [START + timedelta(seconds=after) for after in ends]
    return Trace(
        market="a",
        moments=tuple(moments[:-1]),
        prices=tuple(Decimal("0.2" if number % 2 else "0.05") for number in range(len(seconds))),
        end=moments[-1],
    )


@pytest.mark.parametrize(
    ("seconds", "grid", "told"),
    [
        ([30] * 6, 60, "3 of 6 prices, the first at 2026-01-01T00:00:30+00:00"),
        ([30] * 6, 60, "1m apart, and they never count; a backtest"),
        ([30] * 6, 60, "--grid-seconds 30 reads all of them"),
        ([100, 7, 93], 60, "--grid-seconds 6 reads all of them"),
        ([60.2, 0.4, 60], 60, "--grid-seconds 1 reads more of them"),
        ([1.2, 0.4, 60], 1, "no grid is finer"),
    ],
)
def test_prices_that_no_moment_of_the_grid_reads_are_told(
    seconds: list[float], grid: int, told: str
) -> None:
    """How many, the first of them, and a grid that reads them."""
    (found,) = unread(holding(*seconds), timedelta(seconds=grid), timedelta(minutes=10))
    assert told in found


@pytest.mark.parametrize("seconds", [[60] * 9, [90, 31, 60], [150, 61, 60]])
def test_prices_that_a_moment_of_the_grid_reads_are_not_told(seconds: list[float]) -> None:
    """However short, if it is at the right time."""
    assert unread(holding(*seconds), timedelta(minutes=1), timedelta(minutes=10)) == ()


@given(st.lists(st.integers(1, 200), min_size=1, max_size=30))
def test_what_is_told_as_read_is_read(seconds: list[int]) -> None:
    """On the grid that is named every price is among those played; where none is named they all were."""
    trace, minute, pause = holding(*seconds), timedelta(minutes=1), timedelta(minutes=10)
    changes = sum(before != after for before, after in pairwise(trace.sampled(minute)))
    found = unread(trace, minute, pause)
    assert bool(found) == (changes + 1 < len(seconds))
    if found:
        named = re.search(r"--grid-seconds (\d+) reads all", found[0])
        assert named is not None
        finer = trace.sampled(timedelta(seconds=int(named[1])))
        assert sum(before != after for before, after in pairwise(finer)) + 1 == len(seconds)


def test_a_world_that_flickers_is_told_of_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error and in the document, beside the figures that rest on it."""
    rows = [
        f"{(START + n * timedelta(seconds=30)).isoformat()},a,{'0.2' if n % 2 else '0.05'},s"
        for n in range(21)
    ]
    command = ["backtest", "--trace", str(trace_file(tmp_path, rows)), "--value", "0.13", "--json"]
    assert main([*command, "--strategies", "fixed"]) == 0
    told = capsys.readouterr()
    assert "trace.csv: a has 10 of 20 prices" in told.err
    assert "never count" in json.loads(told.out)["warnings"][0]
    assert main([*command, "--strategies", "fixed", "--grid-seconds", "30"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []
