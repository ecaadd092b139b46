"""The copy of what the daemon took up last: where it lies, what is in it, and who may read it."""

import os
import stat
from pathlib import Path

import pytest

from bidder.config import kept, load_settings

CONFIG = """
rates: {BTC: 69000, CLORE: 0.11}
account: {token_env: UNIT_TOKEN}
strategies:
  - name: one
    ceiling: {usd: 3}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda, ssh_password: {env: UNIT_PASSWORD}, env: {KEY: {file: ./key}}}
"""
SECRETS = {"UNIT_TOKEN": "canary-token", "UNIT_PASSWORD": "canary-password"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration with secrets in the environment and in a file."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "key").write_text("canary-key")
    (folder / "config.yaml").write_text(CONFIG)
    return folder / "config.yaml"


def test_a_reference_to_a_secret_stays_one(config: Path) -> None:
    """What the file does not say, its copy does not; it is for this user alone."""
    settings = load_settings(config, SECRETS)
    assert len(settings.secret_values) == 3
    before = os.umask(0)
    try:
        kept.keep(settings, SECRETS)
    finally:
        os.umask(before)

    copy = kept.find(config, SECRETS)
    assert copy is not None
    assert copy.parent == config.parent
    assert copy.read_text() == CONFIG
    assert "canary" not in copy.read_text()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert "UNIT_PASSWORD" not in repr(settings)


def test_the_copy_means_what_the_file_meant(config: Path, tmp_path: Path) -> None:
    """Also where it lies in a state directory: paths are relative to the file's own folder."""
    state = tmp_path / "state"
    state.mkdir()
    environ = {**SECRETS, "STATE_DIRECTORY": f"{state}:/elsewhere"}
    settings = load_settings(config, environ)
    kept.keep(settings, environ)

    copy = kept.find(config, environ)
    assert copy is not None
    assert list(state.iterdir()) == [copy]
    again = load_settings(config, environ, copy=copy)
    assert again == settings


def test_each_file_has_a_copy_of_its_own(config: Path, tmp_path: Path) -> None:
    """Two accounts may share a state directory; the same file by another way is the same."""
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    other = config.with_name("other.yaml")
    assert kept.place(config, environ) != kept.place(other, environ)
    roundabout = config.parent / ".." / config.parent.name / config.name
    assert kept.place(roundabout, environ) == kept.place(config, environ)


def test_a_new_copy_replaces_the_old_one_whole(config: Path) -> None:
    """Nothing else is left; where nothing changed nothing is written."""
    kept.keep(load_settings(config, SECRETS), SECRETS)
    first = kept.place(config, SECRETS).stat()
    kept.keep(load_settings(config, SECRETS), SECRETS)
    assert kept.place(config, SECRETS).stat() == first

    config.write_text(CONFIG + "log: {level: debug}\n")
    kept.keep(load_settings(config, SECRETS), SECRETS)
    assert kept.place(config, SECRETS).read_bytes() == config.read_bytes()
    assert len(list(config.parent.iterdir())) == 3


def test_where_it_cannot_be_kept_that_is_said(config: Path) -> None:
    """And nothing is left half written."""
    environ = {**SECRETS, "STATE_DIRECTORY": str(config.parent / "missing")}
    with pytest.raises(OSError, match="missing"):
        kept.keep(load_settings(config, SECRETS), environ)
    assert kept.find(config, environ) is None
