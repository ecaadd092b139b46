"""The image that `.ci/container` has built: without it all of this is skipped."""

import os
from pathlib import Path

import pytest
from contained import Image, image_of
from loopback import alone


@pytest.fixture(scope="session")
def image_folder() -> Path:
    """Return where the image and what is known of it lie, in a network of our own."""
    folder = os.environ.get("BIDDER_TEST_IMAGE")
    if folder is None:
        pytest.skip("there is no image here: .ci/container builds one")
    alone()
    return Path(folder)


@pytest.fixture(scope="session")
def image(image_folder: Path) -> Image:
    """Return the image that was built."""
    return image_of((image_folder / "root").resolve(), image_folder / "inspect.json")
