"""Notices from a real daemon, through a real program."""

import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from documented import disagreements
from processes import bidder, daemon, sim, stop, wait_for, write_config


def write_hook(folder: Path) -> tuple[Path, str]:
    """Write a program that appends what it is told to a file; return the file and the command."""
    told, program = folder / "told", folder / "hook.py"
    program.write_text(f"import sys\nopen({str(told)!r}, 'a').write(sys.stdin.read())\n")
    return told, f"[{sys.executable}, {program}]"


def heard(told: Path) -> list[dict[str, Any]]:
    """Return what the program was told so far."""
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


def spoken(told: Path, event: str) -> bool:
    """Return whether an event was told, alone or in a digest."""
    word = {"won": "is yours", "outbid": "outbid on server"}[event]
    return any(
        n["event"] == event or (n["event"] == "digest" and word in n["text"]) for n in heard(told)
    )


def test_the_daemon_tells_of_winning_and_of_being_outbid(tmp_path: Path) -> None:
    """A program of the owner's hears of both, as they happen, while trading goes on."""
    told, command = write_hook(tmp_path)
    with sim("--speed", "300") as root:  # rivals come every few hours
        config = write_config(tmp_path, root, more=f"notices: [{{command: {command}}}]")
        with daemon(config, tmp_path / "log") as process:
            wait_for(lambda: spoken(told, "won"), of="a notice of winning")
            wait_for(lambda: spoken(told, "outbid"), of="a notice of being outbid")
            assert stop(process) == 0


def test_a_database_that_stays_locked_is_told_and_trading_goes_on_afterwards(tmp_path: Path) -> None:
    """Nothing can be written down, so nothing is sent; the owner hears of it, and of its end."""
    told, command = write_hook(tmp_path)
    more = f"pace: {{alarm_after: 10s}}\nnotices: [{{command: {command}, events: [database]}}]"
    with sim() as root:
        config = write_config(tmp_path, root, more=more)
        with daemon(config, tmp_path / "log") as process:
            database = tmp_path / "bidder.db"
            wait_for(lambda: bidder("health", "-c", str(config)).code == 0, of="a daemon that trades")
            with closing(sqlite3.connect(database, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                wait_for(lambda: len(heard(told)) == 1, of="a notice of the database")
                other.execute("ROLLBACK")
            wait_for(lambda: len(heard(told)) == 2, of="a notice that it works again")
            assert stop(process) == 0
    first, second = heard(told)
    assert (first["event"], first["level"]) == ("database", "urgent")
    assert (second["event"], second["level"]) == ("database", "info")
    assert "another process holds the database" in first["text"]


def test_a_refused_token_is_told_once_however_often_the_daemon_is_started(tmp_path: Path) -> None:
    """A container is started again and again; its owner hears of it once, by what way there is."""
    told, command = write_hook(tmp_path)
    with sim("--token", "another-token") as root:
        more = f"notices: [{{command: [/bin/false]}}, {{command: {command}}}]"
        config = write_config(tmp_path, root, more=more)
        for _ in range(3):
            assert bidder("run", "-c", str(config)).code == 3
    (only,) = heard(told)
    assert (only["event"], only["level"]) == ("token_refused", "urgent")
    assert ".." not in only["text"]


def test_a_slow_receiver_hears_that_trading_has_ended_for_good(tmp_path: Path) -> None:
    """Nobody starts a daemon again whose token is refused: it waits until the last word is taken."""
    told, hook = tmp_path / "told", tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\nsleep 7\ncat > {told}\n")
    hook.chmod(0o700)
    with sim("--token", "another-token") as root:
        config = write_config(tmp_path, root, more=f"notices: [{{command: [{hook}], timeout: 60s}}]")
        assert bidder("run", "-c", str(config)).code == 3
    assert json.loads(told.read_text())["event"] == "token_refused"


def test_a_receiver_that_hangs_does_not_keep_the_daemon_from_stopping(tmp_path: Path) -> None:
    """It is gone within five seconds of SIGTERM, and the program that hangs with it."""
    hook, pid = tmp_path / "hook", tmp_path / "pid"
    hook.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 600\n")
    hook.chmod(0o700)
    with sim("--speed", "300") as root:
        more = f"notices: [{{command: [{hook}], timeout: 60s}}]"
        config = write_config(tmp_path, root, more=more)
        with daemon(config, tmp_path / "log") as process:
            wait_for(lambda: pid.exists() and pid.read_text(), of="a program that hangs")
            began = time.monotonic()
            assert stop(process) == 0
            assert time.monotonic() - began < 5
    wait_for(lambda: not Path(f"/proc/{int(pid.read_text())}").exists(), of="its end", patience=5)


def test_a_test_notice_says_for_each_receiver_how_it_went(tmp_path: Path) -> None:
    """One works, one does not: code 1, and the document names both."""
    told, command = write_hook(tmp_path)
    more = f"notices: [{{command: {command}}}, {{command: [/bin/false]}}]"
    config = write_config(tmp_path, "http://127.0.0.1:9", more=more)
    ran = bidder("notify", "test", "-c", str(config), "--json")
    assert ran.code == 1
    assert disagreements(ran.document, "notify test") == []
    assert [each["ok"] for each in ran.document["receivers"]] == [True, False]
    assert heard(told)[0]["event"] == "test"
    assert bidder("notify", "test", "-c", str(write_config(tmp_path, "http://127.0.0.1:9"))).code == 2


def test_what_a_program_says_is_shown_without_secrets(tmp_path: Path) -> None:
    """It may have read the configuration, and complain about it aloud."""
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ngrep ssh_password {tmp_path / 'config.yaml'}\nexit 1\n")
    hook.chmod(0o700)
    config = write_config(tmp_path, "http://127.0.0.1:9", more=f"notices: [{{command: [{hook}]}}]")
    image = "{image: cloreai/ubuntu20.04-jupyter}"
    with_password = image.replace("}", ", ssh_password: Sekret-ssh-99}")
    config.write_text(config.read_text().replace(image, with_password))
    ran = bidder("notify", "test", "-c", str(config))
    assert ran.code == 1
    assert "it said:" in ran.out
    assert "Sekret-ssh-99" not in ran.out + ran.err
