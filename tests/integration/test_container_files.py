"""The image's recipe; `.ci/container` builds and runs it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def pins(name: str) -> set[str]:
    """Return the packages of a lock file with their versions."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert "index-url" not in text
    return {match[1] for match in re.finditer(r"^([a-z0-9.-]+==\S+)", text, re.MULTILINE)}


def services(*names: str) -> dict[str, Any]:
    """Return the services of compose files, the later ones laid over the earlier ones."""
    found: dict[str, Any] = {}
    for name in names:
        for service, keys in yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))[
            "services"
        ].items():
            found[service] = {**found.get(service, {}), **keys}
    return found


def test_the_dockerfile_is_clean() -> None:
    """hadolint finds nothing."""
    lint = Path(sys.executable).parent / "hadolint"

    done = subprocess.run([lint, str(ROOT / "Dockerfile")], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_image_gets_the_versions_that_were_tested() -> None:
    """What it installs is pinned with hashes, at the versions of the development lock."""
    tested = pins("requirements.lock")

    assert pins("requirements-runtime.lock") <= tested
    assert pins("requirements-build.lock") <= tested
    assert not {pin for pin in pins("requirements-runtime.lock") if pin.startswith(("pytest", "mypy"))}


def test_nothing_reaches_the_build_that_it_does_not_name() -> None:
    """Everything is ignored but what the Dockerfile copies: no secret, no database, no history."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert "*" in ignored
    assert allowed == {name for line in copied for name in line.split()}
    assert all((ROOT / name).exists() for name in allowed)


def test_compose_runs_it_with_as_little_as_it_needs() -> None:
    """Read-only, without capabilities, the token as a secret, the state in a volume."""
    bidder = services("compose.yaml")["bidder"]

    assert bidder["read_only"] is True
    assert bidder["cap_drop"] == ["ALL"]
    assert bidder["security_opt"] == ["no-new-privileges:true"]
    assert bidder["secrets"] == ["clore_token"]
    assert "state:/var/lib/bidder" in bidder["volumes"]
    assert "ports" not in bidder


def test_compose_with_postgres_waits_for_it() -> None:
    """The daemon starts once the database answers, and the password stands in no file."""
    both = services("compose.yaml", "compose.postgres.yaml")

    assert both["bidder"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert "${POSTGRES_PASSWORD:?" in both["bidder"]["environment"]["BIDDER_DATABASE_URL"]
    assert "healthcheck" in both["postgres"]
