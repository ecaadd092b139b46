"""How commands end: exit codes, one line for each error, never a traceback, nothing half-done."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bidder import errors
from bidder.cli.failures import ExitCode, exit_code, guarded
from bidder.cli.main import main
from bidder.domain.ids import AccountName
from bidder.store.engine import open_engine
from bidder.store.queries import Queries
from bidder.store.schema import upgrade

GOOD = """
mode: paper
account: {token_env: UNIT_TOKEN}
exchange: {url: "http://127.0.0.1:9/v1"}
database: bidder.db
rates: {BTC: 69000, CLORE: 0.11}
strategies:
  - name: one
    ceiling: {usd: 3}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda}
"""


@pytest.fixture
def config(place: Path) -> Path:
    """Return a good configuration that names an exchange which nobody runs."""
    place.write_text(GOOD)
    return place


BAD = {
    "broken yaml": ("strategies: [", "strategies: ["),
    "unknown key": ("database: bidder.db", "databse: bidder.db"),
    "wrong type": ("database: bidder.db", "database: bidder.db\nadopt: 7"),
    "negative price": ("{usd: 3}", "{usd: -3}"),
    "zero price": ("{usd: 3}", "{usd: 0}"),
    "nan price": ("{usd: 3}", "{usd: .nan}"),
    "absurd price": ("{usd: 3}", "{usd: 3000000}"),
    "ceiling without a rate": ("{usd: 3}", "{dogecoin: 3}"),
    "no ceiling": ("    ceiling: {usd: 3}\n", ""),
    "port list of six": (
        "image: nvidia/cuda",
        "image: nvidia/cuda, ports: {1: tcp, 2: tcp, 3: tcp, 4: tcp, 5: tcp, 6: tcp}",
    ),
    "env with an ampersand": ("image: nvidia/cuda", "image: nvidia/cuda, env: {A: 'x&y'}"),
    "env too large": ("image: nvidia/cuda", "image: nvidia/cuda, env: {A: '" + "x" * 1537 + "'}"),
    "ssh password": ("image: nvidia/cuda", "image: nvidia/cuda, ssh_password: 'a!b'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_configuration_ends_with_two_and_one_line(
    kind: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, line and remedy on one line; no database appears."""
    before, after = BAD[kind]
    text = GOOD.replace(before, after) if before in GOOD else GOOD + "\n" + after
    config.write_text(text)
    for command in ("check", "run", "plan", "status"):
        assert main([command, "-c", str(config)]) == ExitCode.BAD_INPUT
        shown = capsys.readouterr()
        assert shown.out == ""
        lines = [line for line in shown.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, shown.err
        assert lines[0].startswith(f"error: {config}:")
        assert "canary" not in shown.err
    assert list(config.parent.iterdir()) == [config]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(("text", "code"), [("strategies: [", 2), (GOOD, 0)])
def test_the_exit_code_stands_where_errors_and_warnings_cannot_be_written(
    config: Path, text: str, code: int
) -> None:
    """systemd and Docker go by it: whether to start the daemon again."""
    config.write_text(text)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bidder.cli.main", "check", "-c", config],
            env={**os.environ, "UNIT_TOKEN": "t"},
            stdout=subprocess.DEVNULL,
            stderr=full,
            check=False,
        )
    assert done.returncode == code


def test_duplicate_and_overlapping_strategies_are_refused(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of one name, and two that could bid on one server."""
    entry = GOOD[GOOD.index("  - name") :]
    config.write_text(GOOD + entry)
    assert main(["check", "-c", str(config)]) == 2
    config.write_text(GOOD + entry.replace("name: one", "name: two"))
    capsys.readouterr()
    assert main(["check", "-c", str(config)]) == 2
    assert "one" in capsys.readouterr().err


def test_a_missing_file_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also a folder, and a file nobody may read."""
    for path in (tmp_path / "none.yaml", tmp_path):
        assert main(["check", "-c", str(path)]) == 2
        assert capsys.readouterr().err.startswith(f"error: {path}: ")


def test_a_good_configuration_passes_and_changes_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No token is needed, no database made; --json says the same."""
    assert main(["check", "-c", str(config)]) == 0
    assert capsys.readouterr().out.startswith(f"{config} is good")
    assert main(["check", "-c", str(config), "--json"]) == 0
    assert list(config.parent.iterdir()) == [config]


def test_a_token_that_others_can_read_is_warned_about(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A warning, no error: it may be meant so."""
    token = config.parent / "token"
    token.write_text("secret-token\n")
    token.chmod(0o644)
    config.write_text(GOOD.replace("token_env: UNIT_TOKEN", "token_file: token"))
    assert main(["check", "-c", str(config)]) == 0
    shown = capsys.readouterr().err
    assert shown.startswith("warning: ")
    assert "chmod 600" in shown
    assert "secret-token" not in shown


@pytest.mark.parametrize("command", [["check"], ["status", "--json"], ["db", "export", "decisions"]])
def test_an_output_that_takes_nothing_is_named(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    """A full disk behind standard output is a failure, said in one line."""
    engine = open_engine(config.parent / "bidder.db")
    upgrade(engine)
    engine.dispose()
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)

        assert main([*command, "-c", str(config)]) == ExitCode.FAILED

    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert said == [
        "error: standard output cannot be written: No space left on device; send it elsewhere"
    ]


def test_a_database_that_cannot_be_used_is_refused_by_every_command(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Corrupt, newer, foreign: named with its remedy and left as it was."""
    file = config.parent / "bidder.db"
    file.write_bytes(b"this is no database" * 100)
    _refused(config, file, capsys, "corrupt")
    file.unlink()
    with sqlite3.connect(file) as plain:
        plain.execute("CREATE TABLE alembic_version (version_num TEXT)")
        plain.execute("INSERT INTO alembic_version VALUES ('9999')")
    plain.close()
    _refused(config, file, capsys, "newer")
    file.unlink()
    engine = open_engine(file)
    upgrade(engine)
    engine.dispose()
    file.chmod(0o400)
    _refused(config, file, capsys, "read-only")


def _refused(config: Path, file: Path, capsys: pytest.CaptureFixture[str], word: str) -> None:
    before = file.read_bytes()
    for command in ("check", "run", "status", "plan", "pause"):
        assert main([command, "-c", str(config)]) == 2, command
        shown = capsys.readouterr()
        assert word in shown.err
        assert len(shown.err.splitlines()) == 1
    assert file.read_bytes() == before


def test_a_file_that_is_not_there_is_asked_for_by_its_own_option(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two configurations, the one that is missing."""
    missing = str(config.parent / "nope.yaml")
    assert main(["plan", "-c", str(config), "--against", missing]) == ExitCode.BAD_INPUT
    told = capsys.readouterr().err
    assert f"{missing}: " in told
    assert "name the configuration with --against FILE" in told
    assert main(["plan", "-c", missing, "--against", str(config)]) == ExitCode.BAD_INPUT
    assert "name the configuration with -c FILE" in capsys.readouterr().err


_WRITERS = {
    "a backup": ["db", "backup", "PLACE.db"],
    "an export": ["db", "export", "decisions", "-o", "PLACE.csv"],
    "a bundle": ["doctor", "--offline", "--bundle", "PLACE.tar.gz"],
    "what a demo leaves": ["demo", "--save", "PLACE"],
}
_NO_PLACES = {
    "too long": "x" * 300,
    "too long with what is put before it": "x" * 245,
    "in a file": "config.yaml/x",
}


@pytest.mark.parametrize(
    ("command", "where"),
    [
        (command, where)
        for command in _WRITERS
        for where in _NO_PLACES
        # A folder gets nothing put before its name.
        if (command, where) != ("what a demo leaves", "too long with what is put before it")
    ],
)
def test_where_nothing_can_be_written_is_the_users_to_change(
    config: Path, capsys: pytest.CaptureFixture[str], command: str, where: str
) -> None:
    """A file or folder that cannot be made is named with its reason and a remedy, before any work."""
    engine = open_engine(config.parent / "bidder.db")
    upgrade(engine)
    engine.dispose()
    target = str(config.parent / _NO_PLACES[where])
    words = [each.replace("PLACE", target) for each in _WRITERS[command]]
    options = [] if command == "what a demo leaves" else ["-c", str(config)]

    assert main([*words, *options]) == ExitCode.BAD_INPUT

    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert target in said
    assert "File name too long" in said or "Not a directory" in said
    assert said.endswith(("; name another file", "; name another folder"))


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The simulator says which one, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["sim", "serve", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"error: port {port} is in use; choose another with --port, or 0 for a free one\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["cancel"],
        ["cancel", "7", "--all"],
        ["cancel", "seven"],
        ["explain"],
        ["history", "--limit", "0"],
        ["demo", "--hours", "-1"],
        ["sim", "serve", "--speed", "0"],
        ["sim", "serve", "--servers", "0"],
        ["sim", "serve", "--marketplace", "/nonexistent.json"],
        ["sim", "serve", "--faults", "/nonexistent.json"],
        ["sim", "serve", "--start", "yesterday"],
        ["servers", "set", "rig", "--mrl", "1", "--on-demand", "x", "--spot", "1", "--available"],
        ["run", "--bogus"],
    ],
)
def test_bad_usage_ends_with_two_and_one_line(
    arguments: list[str], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown commands and options, missing and malformed values."""
    os.chdir(config.parent)
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert len(shown.splitlines()) == 1


def test_without_a_database_the_reading_commands_say_so(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And they do not create one."""
    for command in (["status"], ["orders"], ["history"], ["explain", "7"]):
        assert main([*command, "-c", str(config)]) == 2
        assert "`bidder run` creates it" in capsys.readouterr().err
    assert not (config.parent / "bidder.db").exists()


def test_an_exchange_that_nobody_runs_is_unreachable(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 5, in words, for whatever command has to ask it."""
    assert main(["plan", "-c", str(config)]) == ExitCode.UNREACHABLE
    assert "no connection" in capsys.readouterr().err
    assert main(["servers", "list", "-c", str(config), "--wait", "1"]) != 0


def test_without_a_token_the_message_says_where_to_put_one(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` passes with a warning; what needs the exchange does not start."""
    monkeypatch.delenv("UNIT_TOKEN")
    config.write_text(GOOD.replace("mode: paper", "mode: live"), encoding="utf-8")
    assert main(["check", "-c", str(config)]) == 0
    assert "no API token yet" in capsys.readouterr().err
    for command in ("run", "plan", "pause", "wallets"):
        assert main([command, "-c", str(config)]) == 2
        assert "UNIT_TOKEN is not set; export that variable" in capsys.readouterr().err
    assert list(config.parent.iterdir()) == [config]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("no", file="f"), 2),
        (errors.StoreUnusable("no"), 2),
        (errors.StoreUnavailable("no"), 1),
        (errors.InvalidToken(), 3),
        (errors.LeaseHeld("no"), 4),
        (errors.LeaseLost("no"), 4),
        (errors.Unreachable("no"), 5),
        (errors.NotSent("no"), 5),
        (errors.InDoubt("no"), 5),
        (errors.RateLimited(), 5),
        (errors.ServerTaken("no"), 1),
        (errors.StoreFailed("no"), 1),
    ],
)
def test_every_error_has_its_exit_code(error: errors.BidderError, code: int) -> None:
    """As the documentation lists them."""

    def fail() -> int:
        raise error

    assert exit_code(error) == code
    assert guarded(fail) == code


def test_the_unforeseen_shows_no_traceback_and_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    """A foreign error's message may quote a secret, so only its kind and place are shown."""

    def fail() -> int:
        raise ValueError("canary-secret")

    assert guarded(fail) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: this should not happen: ValueError at test_failures.py:")
    assert "canary" not in shown
    assert "Traceback" not in shown


def test_an_interrupt_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Control-C ends a command with the shell's usual code."""

    def interrupted() -> int:
        raise KeyboardInterrupt

    assert guarded(interrupted) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """And the exit codes."""
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in ("run", "check", "plan", "status", "orders", "history", "explain", "cancel", "sim"):
        assert f"\n  {command} " in shown
    assert "Exit codes" in shown
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bidder ")


@pytest.mark.parametrize("group", [[], ["db"], ["notify"], ["servers"], ["sim"]])
def test_without_a_subcommand_the_help_is_shown_as_it_is(
    group: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Line by line, as nothing is wrong with it but that nothing was asked."""
    assert main(group) == ExitCode.BAD_INPUT

    said = capsys.readouterr().err
    assert "error" not in said.split("Exit codes")[0]
    assert said.count("\n") > 8
    assert "\nCommands:\n" in said


def test_a_missing_argument_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """With the remedy behind it."""
    assert main(["db", "export"]) == ExitCode.BAD_INPUT
    assert capsys.readouterr().err == "error: Missing argument 'TABLE'; see `bidder --help`\n"


def test_where_an_export_goes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dash is standard output; a name says the format or is refused, unless the format is named."""
    engine = open_engine(config.parent / "bidder.db")
    upgrade(engine)
    engine.dispose()
    export = ["db", "export", "decisions", "-c", str(config)]
    odd = config.parent / "decisions.xlsx"

    assert main([*export, "-o", "-"]) == ExitCode.DONE
    assert capsys.readouterr().out.startswith("id,account,")
    assert not Path("-").exists()
    assert main([*export, "-o", str(odd)]) == ExitCode.BAD_INPUT
    assert "end it in .csv or .parquet" in capsys.readouterr().err
    assert not odd.exists()
    assert main([*export, "-o", str(odd), "--format", "csv"]) == ExitCode.DONE
    assert odd.exists()


def test_a_database_server_that_is_away_is_tried_again(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no mistake of the owner's: systemd starts the daemon anew for every code but 2 and 3."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        monkeypatch.setenv("BIDDER_DATABASE_URL", f"postgresql://u:hunter2@127.0.0.1:{port}/x")
        assert main(["run", "-c", str(config)]) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert "check that the server runs" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("command", [("chaos", "--seeds"), ("backtest", "--generated")])
@pytest.mark.parametrize("digits", [19, 4300, 5000])
def test_a_seed_of_too_many_digits_is_bad_input(
    command: tuple[str, str], digits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python neither reads nor prints the largest of them, and nobody needs any."""
    assert main([*command, "9" * digits]) == ExitCode.BAD_INPUT
    told = capsys.readouterr().err
    assert command[1] in told
    assert len(told) < 200


def test_more_seeds_than_anybody_waits_for_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """At once, and not when the list of them has filled the memory."""
    assert main(["chaos", "--seeds", "1-999999999999999999"]) == ExitCode.BAD_INPUT
    told = "--seeds names 999999999999999999 seeds, at most 100000 are played at once; write a shorter"
    assert told in capsys.readouterr().err


def test_an_address_that_is_not_there_yet_is_tried_again(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a start of the machine a VPN may come later: code 1, with which systemd starts it again."""
    config.write_text(GOOD + f'web: {{listen: "192.0.2.7:9464", token: "{"x" * 40}"}}\n')
    assert main(["run", "-c", str(config)]) == ExitCode.FAILED
    told = capsys.readouterr().err
    assert "192.0.2.7 port 9464 cannot be had at present" in told
    assert told.rstrip().endswith("; is 192.0.2.7 an address of this machine?")


def test_a_start_that_fails_on_its_pages_gives_the_lease_back(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program has the port: nobody trades, and nobody is said to."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config.write_text(GOOD + f'web: {{listen: "127.0.0.1:{port}"}}\n')
        assert main(["run", "-c", str(config)]) == ExitCode.FAILED
    assert f"127.0.0.1 port {port} is in use" in capsys.readouterr().err

    engine = open_engine(f"sqlite:///{config.parent / 'bidder.db'}")
    lease = Queries(engine, AccountName("default")).lease()
    engine.dispose()
    assert lease is None


def test_health_without_a_database_is_not_healthy(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 1, as of a daemon that does not live: Docker keeps 2 for itself."""
    assert main(["health", "--json", "-c", str(config)]) == ExitCode.FAILED
    shown = json.loads(capsys.readouterr().out)
    assert not shown["healthy"]
    assert "there is no database yet" in shown["problem"]


def test_check_of_a_database_server_that_is_away_is_no_bad_input(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file may be good in a moment."""
    monkeypatch.setenv("BIDDER_DATABASE_URL", f"postgresql://u:pw@127.0.0.1:{_closed_port()}/x")
    assert main(["check", "-c", str(config)]) == ExitCode.FAILED


@pytest.mark.parametrize("named", ["UNIT_TOKEN", None, "file"])
def test_a_missing_token_is_answered_with_what_helps_there(
    named: str | None,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where a key says where it is, another place would not be looked at."""
    account, remedy = {
        "UNIT_TOKEN": ("{token_env: UNIT_TOKEN}", "export that variable"),
        "file": ("{token_file: ./token}", "write the token into that file"),
        None: ("{name: main}", "export CLORE_TOKEN=..."),
    }[named]
    monkeypatch.delenv("UNIT_TOKEN")
    monkeypatch.delenv("CLORE_TOKEN", raising=False)
    if named is not None:
        monkeypatch.setenv("CLORE_TOKEN", "canary-token-value")
    live = GOOD.replace("mode: paper", "mode: live")
    config.write_text(live.replace("{token_env: UNIT_TOKEN}", account))
    assert main(["run", "-c", str(config)]) == ExitCode.BAD_INPUT
    assert remedy in capsys.readouterr().err


def test_check_tells_of_a_missing_token_in_its_json_too(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What reads the one object reads no standard error."""
    monkeypatch.delenv("UNIT_TOKEN")
    assert main(["check", "--json", "-c", str(config)]) == ExitCode.DONE
    assert any("no API token yet" in each for each in json.loads(capsys.readouterr().out)["warnings"])


@pytest.mark.parametrize(
    "words",
    [["cancel", "5", "--wait", "-1"], ["cancel", "5", "--wait", "nan"], ["pause", "--wait", "inf"]],
)
def test_nobody_waits_for_less_than_nothing_or_for_ever(words: list[str], config: Path) -> None:
    """Nothing is asked for, and no database is made."""
    assert main([*words, "-c", str(config)]) == ExitCode.BAD_INPUT
    assert list(config.parent.iterdir()) == [config]


@pytest.mark.parametrize("order", ["0", "P0"])
def test_no_order_has_the_number_zero(
    order: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be neither a real one nor one on paper."""
    assert main(["cancel", order, "-c", str(config)]) == ExitCode.BAD_INPUT
    assert f"got '{order}'" in capsys.readouterr().err


def test_a_command_says_that_there_was_no_database(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever forgot where the service keeps its own has paused nobody."""
    warning = "there was no database yet"
    assert main(["pause", "-c", str(config)]) == ExitCode.DONE
    assert warning in capsys.readouterr().err
    assert main(["resume", "-c", str(config)]) == ExitCode.DONE
    assert warning not in capsys.readouterr().err


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@pytest.mark.parametrize("words", [["wallets"], ["servers", "list"], ["servers", "config", "rig"]])
def test_an_exchange_that_nobody_reaches_ends_with_five(
    words: list[str], config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not with the code of what was understood, tried and refused."""
    config.write_text(GOOD.replace("mode: paper", "mode: live"))
    assert main([*words, "-c", str(config)]) == ExitCode.UNREACHABLE
    shown = capsys.readouterr()
    assert "no connection" in shown.err
    assert "unreached" not in shown.err
