"""What the compose files say of a service, for tests that have no container engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SQLITE = ("compose.yaml",)
POSTGRES = ("compose.yaml", "compose.postgres.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """What a container finds at ``at``: a named volume, or a file that lies beside the compose files."""

    source: str
    at: str
    read_only: bool

    @property
    def named(self) -> bool:
        """Return whether this is a volume of the engine's."""
        return not self.source.startswith(".")


def document(files: tuple[str, ...]) -> dict[str, Any]:
    """Return the compose files as one, the later ones laid over the earlier ones as Compose does it."""
    found: dict[str, Any] = {}
    for name in files:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "$" not in text, f"{name}: variables are not known here"
        found = _laid(found, yaml.safe_load(text))
    return found


def _laid(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _laid(below.get(key), value) for key, value in above.items()}}
    if isinstance(below, list) and isinstance(above, list):
        return [*below, *(each for each in above if each not in below)]
    return above


def mounts(files: tuple[str, ...], service: str) -> tuple[Mount, ...]:
    """Return what a service finds in its file system beside its image: volumes, files and secrets."""
    whole = document(files)
    found = []
    for volume in whole["services"][service].get("volumes", ()):
        source, at, *options = volume.split(":")
        found.append(Mount(source=source, at=at, read_only="ro" in options))
    for secret in whole["services"][service].get("secrets", ()):
        file = whole["secrets"][secret]["file"]
        found.append(Mount(source=file, at=f"/run/secrets/{secret}", read_only=True))
    return tuple(found)


def seconds(text: str) -> float:
    """Return a compose file's duration, which here is always in seconds."""
    assert text.endswith("s")
    return float(text.removesuffix("s"))


def bytes_of(text: str) -> int:
    """Return a compose file's amount of memory, which here is always in megabytes."""
    assert text.endswith("m")
    return int(text.removesuffix("m")) * 1024 * 1024


def environment(files: tuple[str, ...], service: str) -> Mapping[str, str]:
    """Return the variables that a service is given beside its image's."""
    found: Mapping[str, str] = document(files)["services"][service].get("environment", {})
    return found
