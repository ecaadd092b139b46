"""The image's recipe; `.ci/container` builds and runs it."""

import re
import subprocess
import sys
from pathlib import Path

import compose
import pytest
from sqlalchemy import make_url


def pins(name: str) -> set[str]:
    """Return the packages of a lock file with their versions."""
    text = (compose.ROOT / name).read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert "index-url" not in text
    return {match[1] for match in re.finditer(r"^([a-z0-9.-]+==\S+)", text, re.MULTILINE)}


def test_the_dockerfile_is_clean() -> None:
    """hadolint finds nothing."""
    lint = Path(sys.executable).parent / "hadolint"

    done = subprocess.run([lint, str(compose.ROOT / "Dockerfile")], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_image_gets_the_versions_that_were_tested() -> None:
    """What it installs is pinned with hashes, at the versions of the development lock."""
    tested = pins("requirements.lock")

    assert pins("requirements-runtime.lock") <= tested
    assert pins("requirements-build.lock") <= tested
    assert not {pin for pin in pins("requirements-runtime.lock") if pin.startswith(("pytest", "mypy"))}


def test_nothing_reaches_the_build_that_it_does_not_name() -> None:
    """Everything is ignored but what the Dockerfile copies: no secret, no database, no history."""
    ignored = (compose.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(
        r"^COPY (?!--)(.+) \S+$", (compose.ROOT / "Dockerfile").read_text(), re.MULTILINE
    )

    assert "*" in ignored
    assert allowed == {name for line in copied for name in line.split()}
    assert all((compose.ROOT / name).exists() for name in allowed)


def test_every_stage_has_one_base_and_the_last_one_runs_as_nobody() -> None:
    """Not root, by number: a name would have to be in the base's list of users."""
    text = (compose.ROOT / "Dockerfile").read_text(encoding="utf-8")
    first, last = re.findall(r"^FROM (\S+)", text, re.MULTILINE)

    assert first == last
    *_, stage = re.split(r"^FROM ", text, flags=re.MULTILINE)
    lines = stage.splitlines()
    assert "USER 10001:10001" in lines
    assert "STOPSIGNAL SIGTERM" in lines
    assert not [line for line in lines if line.startswith(("RUN ", "EXPOSE "))]
    assert re.search(r"^HEALTHCHECK .*CMD \[\"bidder\", \"health\"\]$", stage, re.MULTILINE)


@pytest.mark.parametrize("files", [compose.SQLITE, compose.POSTGRES], ids=["sqlite", "postgres"])
def test_compose_runs_it_with_as_little_as_it_needs(files: tuple[str, ...]) -> None:
    """Read-only, without capabilities or ports, whichever database it has; nothing takes that back."""
    bidder = compose.document(files)["services"]["bidder"]

    assert bidder["read_only"] is True
    assert bidder["cap_drop"] == ["ALL"]
    assert bidder["security_opt"] == ["no-new-privileges:true"]
    assert bidder["tmpfs"] == ["/tmp"]
    assert (bidder["mem_limit"], bidder["pids_limit"]) == ("256m", 64)
    assert not bidder.keys() & {
        "ports",
        "privileged",
        "cap_add",
        "devices",
        "network_mode",
        "pid",
        "user",
    }
    writable = [mount.at for mount in compose.mounts(files, "bidder") if not mount.read_only]
    assert writable == ["/var/lib/bidder"]


def test_the_engine_waits_for_longer_than_a_stop_takes() -> None:
    """And process 1 is the daemon, which gets the signal itself; it comes back after any end."""
    bidder = compose.document(compose.SQLITE)["services"]["bidder"]

    assert compose.seconds(bidder["stop_grace_period"]) >= 10
    assert bidder["init"] is False
    assert bidder["restart"] == "unless-stopped"
    assert bidder["logging"]["options"].keys() == {"max-size", "max-file"}


def test_nobody_is_told_to_reload_it_by_the_engine() -> None:
    """An engine that sends a signal takes the container for stopped by hand, and restarts it no more."""
    root = compose.ROOT
    texts = [(path, path.read_text()) for path in (*root.glob("*.y*ml"), *root.glob("docs/**/*.md"))]

    told = {path.name for path, text in texts if "sh -c 'kill -HUP 1'" in text}
    assert told == {"compose.yaml", "container.md"}
    assert not [path for path, text in texts if re.search(r"docker (compose )?kill -", text)]


@pytest.mark.parametrize("files", [compose.SQLITE, compose.POSTGRES], ids=["sqlite", "postgres"])
def test_every_volume_and_secret_is_declared_and_used(files: tuple[str, ...]) -> None:
    """Compose refuses a name that is not declared, and one that nobody uses is a mistake."""
    whole = compose.document(files)
    mounted = [mount for service in whole["services"] for mount in compose.mounts(files, service)]

    assert {mount.source for mount in mounted if mount.named} == whole["volumes"].keys()
    used = {name for each in whole["services"].values() for name in each.get("secrets", ())}
    assert used == whole["secrets"].keys()


@pytest.mark.parametrize("files", [compose.SQLITE, compose.POSTGRES], ids=["sqlite", "postgres"])
def test_no_secret_is_in_an_environment(files: tuple[str, ...]) -> None:
    """The engine shows variables to whoever may talk to it: the secrets are files."""
    for service in compose.document(files)["services"]:
        for name, value in compose.environment(files, service).items():
            if "PASSWORD" in name or "TOKEN" in name:
                assert name.endswith("_FILE")
                assert value.startswith("/run/secrets/")
            if "://" in value:
                assert make_url(value).password is None


def test_the_daemon_waits_for_a_healthy_server_and_logs_in_by_a_file() -> None:
    """The names fit together: host, user, database, and the secrets that hold the password."""
    services = compose.document(compose.POSTGRES)["services"]
    url = make_url(compose.environment(compose.POSTGRES, "bidder")["BIDDER_DATABASE_URL"])
    server = compose.environment(compose.POSTGRES, "postgres")

    assert services["bidder"]["depends_on"] == {url.host: {"condition": "service_healthy"}}
    assert (url.username, url.database) == (server["POSTGRES_USER"], server["POSTGRES_DB"])
    places = {mount.at for mount in compose.mounts(compose.POSTGRES, "bidder")}
    assert url.query["passfile"] in places
    assert "/run/secrets/clore_token" in places, "laid over, not replaced"
    beside = {mount.at for mount in compose.mounts(compose.POSTGRES, str(url.host))}
    assert server["POSTGRES_PASSWORD_FILE"] in beside


def test_the_servers_health_is_asked_for_soon_and_often() -> None:
    """As the user that the daemon will be, for a minute at least before it counts as ill."""
    server = compose.document(compose.POSTGRES)["services"]["postgres"]
    check = server["healthcheck"]

    kind, command = check["test"]
    assert kind == "CMD-SHELL"
    assert command == f"pg_isready -U {server['environment']['POSTGRES_USER']}"
    assert compose.seconds(check["timeout"]) < compose.seconds(check["interval"])
    assert compose.seconds(check["interval"]) * check["retries"] >= 60
    assert re.fullmatch(r"postgres:\d+-alpine", server["image"]), "its data fits one major version"
