"""What the exchange says of a launch that it refuses holds no secret of that launch."""

import pytest

from bidder.app.echoes import black_out
from bidder.domain.policy import Launch
from bidder.errors import InDoubt, OtherRefusal
from bidder.exchange.answers import clean

KEY = "wandb-7f3c9a55e1"
SCRIPT = "set -e\nexport PASS=c4nary\npython train.py"
LAUNCH = Launch(
    image="a/b", env=(("WANDB", KEY), ("MODE", "true")), ssh_password="pass word", command=SCRIPT
)


def said(text: str) -> list[str]:
    """Return what is left of the exchange's words in an error."""
    refusal, doubt = OtherRefusal(text, endpoint="create_order", error=text), InDoubt(text)
    for each in (refusal, doubt):
        black_out(each, LAUNCH)
    return [str(refusal), refusal.error or "", str(doubt)]


@pytest.mark.parametrize("secret", [KEY, "pass word", SCRIPT, clean(SCRIPT)])
def test_a_secret_that_is_echoed_is_blacked_out(secret: str) -> None:
    """Also as an answer is read, without its line ends."""
    for text in said(f"invalid env: WANDB={secret}, try again"):
        assert text.endswith("invalid env: WANDB=[hidden], try again")


def test_a_secret_that_is_cut_with_its_answer_is_blacked_out() -> None:
    """The first ten letters of a key is no word of the exchange's."""
    for text in said(clean(f"{'invalid env: WANDB=':>190}{KEY}")):
        assert text.endswith("invalid env: WANDB=[hidden]")


def test_what_is_no_secret_stays() -> None:
    """A refusal must still be understood."""
    for text in said("the mode true-color is wasted on a pass"):
        assert text.endswith("the mode true-color is wasted on a pass")
