"""What of a receiver's address is secret, and what is only a word."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.config.addresses import secret_parts

TOKENS = st.text(string.ascii_letters + string.digits + "-_", min_size=8, max_size=40).filter(
    lambda text: not text.isdigit()
)
# Where different services have theirs, as apprise writes them.
SCHEMES = (
    "tgram://{}/12345",
    "slack://{}/B1/C1/#chat",
    "json://127.0.0.1:9/training/{}",
    "json://me:{}@127.0.0.1",
    "mailto://training:{}@example.com",
    "ntfy://host/topic?token={}",
    "xml://localhost?+key={}",
)


@given(token=TOKENS, scheme=st.sampled_from(SCHEMES))
def test_a_token_is_secret_wherever_it_stands(token: str, scheme: str) -> None:
    """As it is written, and with the whole address; names of the owner's change nothing about it."""
    found = secret_parts(scheme.format(token), ["training", "main"])

    assert token in found
    assert scheme.format(token) in found


@pytest.mark.parametrize(
    "address",
    [
        "json://127.0.0.1:9464/training",
        "json://[::1]:9464/training",
        "json://localhost:9464",
        "json://127.0.0.1:9464",
        "mailto://training:geheimnis@127.0.0.1",
    ],
)
def test_a_name_and_a_place_on_this_machine_are_no_secrets(address: str) -> None:
    """They stand in the log and in the bundle for other reasons, and are needed there."""
    found = secret_parts(address, ["my-training-4090"])

    harmless = {"training", "127.0.0.1", "127.0.0.1:9464", "localhost", "localhost:9464", "::1"}
    assert harmless.isdisjoint(found)


def test_a_password_is_secret_whatever_it_is() -> None:
    """Short, written in escapes, or a word that is a name as well."""
    assert "pass" in secret_parts("mailto://me:pass@example.com")
    assert {"a%40bc", "a@bc"} <= set(secret_parts("mailto://me:a%40bc@example.com"))
    assert "training" in secret_parts("mailto://me:training@example.com", ["training"])
