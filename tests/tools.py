"""Programs of the machine that some tests need: skipped by name without them, failed in CI."""

import os
import shutil

import pytest


def need(*programs: str) -> None:
    """Skip the test where one of these is missing; fail it in CI, which installs them."""
    missing = [name for name in programs if shutil.which(name) is None]
    if not missing:
        return
    reason = f"{', '.join(missing)} is not in the PATH; .ci/run installs it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
