"""When a refused token is believed to be refused."""

from bidder.app.token_doubt import TokenDoubt


def known() -> TokenDoubt:
    """Return the state of a process that has read its account."""
    doubt = TokenDoubt()
    doubt.accepted()
    return doubt


def stands(doubt: TokenDoubt) -> bool:
    """Return whether nothing may be sent at present."""
    return doubt.standing


def test_a_token_that_was_never_accepted_is_refused_for_good() -> None:
    """Whoever starts with a wrong one is told so at once."""
    assert TokenDoubt().refused(0)


def test_the_third_refusal_in_a_row_is_for_good() -> None:
    """Half a minute lies between two of them; one answer in between begins anew."""
    doubt = known()
    assert not doubt.refused(100)
    assert stands(doubt)
    assert (doubt.rests(110), doubt.rests(130)) == (20, 0)
    doubt.accepted()
    assert not stands(doubt)
    assert doubt.rests(130) == 0
    assert [doubt.refused(at) for at in (200, 230, 260)] == [False, False, True]


def test_a_wait_that_no_sleep_is_short_enough_for_is_over() -> None:
    """Sums of seconds miss each other by a hair; passes would follow each other without a sleep."""
    doubt = known()
    assert not doubt.refused(5735.864538990992)
    assert doubt.rests(5765.864538990991) == 0


def test_where_no_answer_tells_trading_goes_on_until_one_does() -> None:
    """An endpoint that fails must not keep all others from their work; what was said stays known."""
    doubt = known()
    assert not doubt.refused(0)
    for seconds in (30, 60, 90):
        assert stands(doubt)
        doubt.unanswered(seconds)
        assert doubt.rests(seconds) in {30, 0}
    assert not stands(doubt)
    assert [doubt.refused(at) for at in (200, 230)] == [False, True]
