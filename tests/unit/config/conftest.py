"""A folder to write configurations into."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bidder.config import ConfigProblems, Settings, load_settings

Load = Callable[..., Settings]
Errors = Callable[..., tuple[str, ...]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that writes a configuration and loads it."""

    def write_and_load(text: str | bytes, **environ: str) -> Settings:
        path = tmp_path / "config.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_settings(path, environ, docker_secrets=tmp_path / "run-secrets")

    return write_and_load


@pytest.fixture
def errors(load: Load) -> Errors:
    """Return a function that loads a bad configuration and returns its errors, file names cut off."""

    def load_and_fail(text: str | bytes, **environ: str) -> tuple[str, ...]:
        with pytest.raises(ConfigProblems) as caught:
            load(text, **environ)
        assert all("\n" not in error for error in caught.value.errors)
        return tuple(error.split("config.yaml", 1)[-1].lstrip(":") for error in caught.value.errors)

    return load_and_fail
