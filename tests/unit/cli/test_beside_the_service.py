"""Commands in a shell that has none of the secrets which only the service is given."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.command import downgrade
from alembic.config import Config
from sqlalchemy import text

from bidder.cli.failures import ExitCode
from bidder.cli.main import main
from bidder.domain.ids import AccountName
from bidder.store.engine import open_engine, transaction
from bidder.store.lease import Lease
from bidder.store.queries import Queries
from bidder.store.schema import KNOWN, migrations_folder, upgrade

_MAIN = AccountName("main")
CONFIG = """
mode: live
account: {name: main}
exchange: {url: "http://127.0.0.1:9/v1"}
database: bidder.db
rates: {BTC: 69000}
guard: {then: cancel}
web: {listen: "127.0.0.1:0", token: {credential: web-token}}
notices: [{to: {credential: notify-url}}]
launch: {image: a/b, ssh_password: {credential: ssh-password}, env: {KEY: {credential: env-key}}}
strategies:
  - name: one
    ceiling: {usd: 3}
    servers: {gpu: RTX 3090}
"""

# How the strategy is launched where no secret is needed.
_LAUNCHED = "    launch: {image: a/b}\n"


@pytest.fixture
def config(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a service's configuration in a shell without its secrets, and the database beside it."""
    for name in ("CREDENTIALS_DIRECTORY", "CLORE_TOKEN", "SSH_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    place.write_text(CONFIG)
    engine = open_engine(f"sqlite:///{place.parent / 'bidder.db'}")
    upgrade(engine)
    yield place
    engine.dispose()


@pytest.fixture
def beside(config: Path) -> Iterator[Queries]:
    """Yield what may be asked of the database while a daemon holds its lease."""
    engine = open_engine(f"sqlite:///{config.parent / 'bidder.db'}")
    lease = Lease(engine, _MAIN)
    lease.acquire(datetime.now(UTC))
    yield Queries(engine, _MAIN)
    lease.release()
    engine.dispose()


@pytest.mark.parametrize(
    ("command", "reference"),
    [
        (["status"], "credential"),
        (["orders"], "env"),
        (["db", "info"], "credential"),
        (["check"], "credential"),
        (["plan", "--json"], "env"),
        (["doctor", "--offline"], "credential"),
        (["guard", "--dry-run"], "env"),
    ],
)
def test_who_only_looks_needs_no_secret(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    reference: str,
) -> None:
    """Nothing of launches, notices or the page is missed; `check` says what it could not look at."""
    if reference == "env":
        config.write_text(CONFIG.replace("{credential: ", "{env: NO_SUCH_"))
    if command[0] in {"plan", "guard"}:
        monkeypatch.setenv("CLORE_TOKEN", "a-token")

    code = main([*command, "-c", str(config)])

    said = capsys.readouterr().err
    # Only `plan` asks the exchange, which nobody runs; the doctor finds that no daemon does either.
    assert code == {"plan": 5, "doctor": 1}.get(command[0], 0), said
    if command == ["check"]:
        for key in ("launch.ssh_password", "launch.env.KEY", "notices[0].to", "web.token"):
            assert f"{key}.credential: there are no credentials here, so it could not" in said


def test_an_unset_variable_is_a_mistake_to_check_and_to_the_daemon(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run` from here would refuse, so `check` says so."""
    config.write_text(CONFIG.replace("{credential: ssh-password}", "{env: SSH_PASSWORD}"))

    assert main(["check", "-c", str(config)]) == 2
    assert "launch.ssh_password.env: the environment variable" in capsys.readouterr().err


def test_no_daemon_starts_without_its_secrets(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each secret that is not there is named with its line; no server is launched without a password."""
    assert main(["run", "-c", str(config)]) == 2

    said = capsys.readouterr().err
    assert f"{config}:10: launch.ssh_password.credential: there are no credentials here;" in said
    assert "CREDENTIALS_DIRECTORY=/etc/bidder" in said


def test_the_panic_command_beside_a_daemon_needs_no_token(
    config: Path, beside: Queries, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is left to the daemon, and stays posted."""
    assert main(["cancel", "--all", "--wait", "0.3", "-c", str(config)]) == 1

    assert "it stays posted" in capsys.readouterr().err
    posted = beside.request(1)
    assert posted is not None
    assert (posted.kind, posted.outcome) == ("cancel_all", None)


def test_the_panic_command_without_a_daemon_needs_the_token_only(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it nothing is posted, and the remedy names the service's own."""
    assert main(["cancel", "--all", "-c", str(config)]) == 2
    assert "no API token" in (said := capsys.readouterr().err)
    assert "CREDENTIALS_DIRECTORY=/etc/bidder" in said

    (config.parent / "clore-token").write_text("a-token\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(config.parent))
    assert main(["cancel", "--all", "--wait", "0", "-c", str(config)]) in {1, 5}


def test_a_token_that_cannot_be_one_is_a_mistake_to_whoever_uses_it(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On paper too, where none at all would do; whoever only looks does not mind."""
    config.write_text(CONFIG.replace("mode: live", "mode: paper"))
    monkeypatch.setenv("CLORE_TOKEN", "two words")

    assert main(["status", "-c", str(config)]) == 0
    capsys.readouterr()
    assert main(["plan", "-c", str(config)]) == 2
    said = capsys.readouterr().err
    assert "environment variable CLORE_TOKEN: the token holds blanks" in said
    assert "two words" not in said


def test_the_guard_says_that_nobody_can_be_told(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It warns, and acts all the same."""
    monkeypatch.setenv("CLORE_TOKEN", "a-token")

    assert main(["guard", "-c", str(config)]) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {config}:9: notices[0].to.credential: there are no credentials")
    assert "ssh_password" not in said


@pytest.mark.parametrize(
    "command",
    [
        ["plan"],
        ["pause", "--wait", "0"],
        ["cancel", "--all", "--wait", "0"],
        ["status"],
        ["health"],
        ["guard", "--dry-run"],
        ["run"],
    ],
)
def test_a_newer_version_leaves_the_database_to_the_older_daemon_at_work(
    config: Path,
    beside: Queries,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    """No command changes the schema under it; each says what is to be done first."""
    monkeypatch.setenv("CLORE_TOKEN", "a-token")
    config.write_text(
        "".join(line for line in CONFIG.splitlines(True) if "{credential: " not in line) + _LAUNCHED
    )
    engine = open_engine(f"sqlite:///{config.parent / 'bidder.db'}")
    with transaction(engine, writing=True) as connection:
        alembic = Config()
        alembic.set_main_option("script_location", str(migrations_folder()))
        alembic.attributes["connection"] = connection
        downgrade(alembic, KNOWN[-2])

    assert main([*command, "-c", str(config)]) == ExitCode.HELD
    said = capsys.readouterr().err
    assert "restart that daemon with this version first" in said
    with transaction(engine, writing=False) as connection:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    assert found == KNOWN[-2]
    engine.dispose()
    assert beside.lease() is not None
