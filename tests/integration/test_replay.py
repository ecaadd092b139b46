"""A simulated span is replayed decision by decision, and whatever was tampered with is found."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from documented import disagreements
from sqlalchemy import Engine, select, update
from virtual import Day, begin

from bidder.cli.main import main
from bidder.config import own
from bidder.domain.evidence import Evidence
from bidder.domain.policy import (
    AdaptiveParams,
    Launch,
    OwnParams,
    Policy,
    Retention,
    StrategyParams,
    TrackParams,
)
from bidder.store import keeping, tables
from bidder.store.engine import open_engine, transaction
from bidder.store.schema import upgrade

SECRET = "hunter2-and-more"
RULE = """
from bidder.domain.actions import Reason
from bidder.domain.money import Price
from bidder.domain.strategies import common

SHARE = 1


def decide(position, params, now):
    needed = position.needed
    if needed is None:
        return common.hold(position, Reason.NO_RATE)
    if position.offer.active:
        return common.walk_down(position, needed, Reason.MARK_DOWN, now)
    price = common.regain(position, needed, now, now)
    if not isinstance(price, Price):
        return price
    return common.act(position, Reason.OUTBID, common.reprice(position, price), urgency=0, share=SHARE)


def opening(quote, params):
    return quote.needed.times(SHARE)
"""
CONFIG = """
account: {name: demo, token_env: UNIT_TOKEN}
database: bidder.db
rates: {BTC: 69000, CLORE: 0.11}
strategies:
  - {name: one, ceiling: {usd: 3}, servers: {gpu: RTX 3090}, launch: {image: nvidia/cuda}}
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Day]:
    """Let three strategies trade for a quarter of an hour, one of them the owner's."""
    folder = tmp_path_factory.mktemp("replay")
    # A worker that comes back to this file would still find the module of the folder before.
    sys.modules.pop("own_replayed", None)
    sys.path[:] = [place for place in sys.path if not (Path(place) / "own_replayed.py").exists()]
    (folder / "own_replayed.py").write_text(RULE)
    (folder / "config.yaml").write_text(CONFIG)
    decide = own.load("own_replayed:decide", folder)
    opening = own.load("own_replayed:opening", folder, ("quote", "params"))
    mine = OwnParams(
        function="own_replayed:decide",
        decide=decide.function,
        opening="own_replayed:opening",
        opening_bid=opening.function,
        settings=(("share", Decimal("0.90")),),
        code=decide.code,
    )

    def shape(policy: Policy) -> Policy:
        kinds: tuple[StrategyParams, ...] = (AdaptiveParams(), mine, TrackParams())
        launch = Launch(image="a/b", env=(("KEY", SECRET),), ssh_password=SECRET, command=SECRET)
        pairs = zip(policy.targets, kinds, strict=True)
        return replace(
            policy, targets=tuple(replace(t, params=kind, launch=launch) for t, kind in pairs)
        )

    engine = open_engine(f"sqlite:///{folder / 'played.db'}")
    upgrade(engine)
    day = begin(shape=shape, engine=engine)
    day.run(timedelta(minutes=13))
    return folder, day


@pytest.fixture
def engine(played: tuple[Path, Day]) -> Iterator[Engine]:
    """Return a copy of what was played, under the configuration's name."""
    folder, day = played
    with day.app.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    for leftover in folder.glob("bidder.db*"):
        leftover.unlink()
    (folder / "bidder.db").write_bytes((folder / "played.db").read_bytes())
    opened = open_engine(f"sqlite:///{folder / 'bidder.db'}")
    yield opened
    opened.dispose()


def replayed(folder: Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    """Return the document of ``bidder replay --verify``."""
    assert main(["replay", "--verify", "-c", str(folder / "config.yaml"), "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert disagreements(document, "replay") == []
    return document


def rows(engine: Engine, table: Any) -> list[Any]:
    """Return all rows."""
    with transaction(engine, writing=False) as connection:
        return list(connection.execute(select(table)))


def test_every_decision_is_verified(
    engine: Engine, played: tuple[Path, Day], capsys: pytest.CaptureFixture[str]
) -> None:
    """All strategies, new bids and standing ones; told for the eye, too."""
    found = replayed(played[0], capsys)

    assert (found["different"], found["code_changed"], found["not_kept"]) == (0, 0, 0)
    assert found["verified"] >= 30
    targets = {row.target for row in rows(engine, tables.decisions) if row.inputs_sha256}
    assert targets == {target.name for target in played[1].policy.targets}
    assert found["other_configuration"] == len(rows(engine, tables.decisions))
    assert main(["replay", "--verify", "-c", str(played[0] / "config.yaml")]) == 0
    assert f"{found['verified']} verified: the same answer" in capsys.readouterr().out


def test_nothing_secret_is_kept(engine: Engine) -> None:
    """Neither packed nor open."""
    configurations = rows(engine, tables.configurations)
    bodies = [row.body for row in (*rows(engine, tables.decision_inputs), *configurations)]

    assert len(configurations) == 1
    assert len(bodies) > 30
    assert not [body for body in bodies if SECRET in keeping.unpack(body)]


def test_inputs_are_thin(engine: Engine) -> None:
    """Some hundred bytes each: a position written out is three thousand."""
    sizes = [len(row.body) for row in rows(engine, tables.decision_inputs)]

    assert sum(sizes) / len(sizes) < 600


def one_with_inputs(engine: Engine, *, action: str | None = None) -> Any:
    """Return the last decision on a standing bid that has inputs."""
    kept = {row.decision_id: row.body for row in rows(engine, tables.decision_inputs)}
    found = [
        row
        for row in rows(engine, tables.decisions)
        if row.id in kept and keeping.unpack(kept[row.id]).startswith('["decide"')
    ]
    return next(row for row in reversed(found) if action is None or row.action == action)


def body_of(engine: Engine, decision: int) -> Any:
    """Return what is kept for a decision."""
    return next(row.body for row in rows(engine, tables.decision_inputs) if row.decision_id == decision)


def change(engine: Engine, table: Any, key: Any, **values: Any) -> None:
    """Change one row."""
    with transaction(engine, writing=True) as connection:
        assert connection.execute(update(table).where(key).values(values)).rowcount == 1


def test_a_flipped_byte_is_found(
    engine: Engine, played: tuple[Path, Day], capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it lies in what is stored."""
    table = tables.decision_inputs
    decision = one_with_inputs(engine).id
    body = body_of(engine, decision)
    for at in (0, 1, len(body) // 2, len(body) - 1):
        flipped = bytes(b ^ (1 if i == at else 0) for i, b in enumerate(body))
        change(engine, table, table.c.decision_id == decision, body=flipped)

        (found,) = replayed(played[0], capsys, code=1)["differences"]

        assert found["decision"] == decision
        assert found["problem"] == "the stored inputs are not those of this decision"


def test_a_changed_answer_or_decision_is_found(
    engine: Engine, played: tuple[Path, Day], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where inputs and hash fit each other: another answer, another price, other facts."""
    decision = one_with_inputs(engine)
    kept = keeping.evidence_of(body_of(engine, decision.id))
    answer = kept.answer.replace('"urgency":0', '"urgency":1').replace('"urgency":7', '"urgency":6')
    forged = keeping.pack(f"{kept.inputs}\n{answer}")
    table, decisions = tables.decision_inputs, tables.decisions
    change(engine, table, table.c.decision_id == decision.id, body=forged)
    (found,) = replayed(played[0], capsys, code=1)["differences"]
    assert "says now" in found["problem"]

    honest = keeping.pack(f"{kept.inputs}\n{kept.answer}")
    change(engine, table, table.c.decision_id == decision.id, body=honest)
    change(engine, decisions, decisions.c.id == decision.id, facts={**decision.facts, "bid": "1 USD"})
    (found,) = replayed(played[0], capsys, code=1)["differences"]
    assert found["problem"] == "the stored decision is not what its strategy said"


def test_another_configuration_than_the_one_of_then_is_found(
    engine: Engine, played: tuple[Path, Day], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every decision rests on it."""
    (row,) = rows(engine, tables.configurations)
    text = keeping.unpack(row.body).replace('"want":2', '"want":3', 1)
    table = tables.configurations
    change(engine, table, table.c.id == row.id, body=keeping.pack(text))

    found = replayed(played[0], capsys, code=1)

    assert (found["verified"], found["overruled"]) == (0, 0)
    assert "configuration is not that of this decision" in found["differences"][0]["problem"]


def test_another_rule_is_found(
    engine: Engine, played: tuple[Path, Day], capsys: pytest.CaptureFixture[str]
) -> None:
    """The same inputs and the same file, and a function that says something else."""
    import own_replayed  # type: ignore[import-not-found]  # it lies beside the configuration

    own_replayed.SHARE = 2
    try:
        found = replayed(played[0], capsys, code=1)
    finally:
        own_replayed.SHARE = 1

    assert {each["target"] for each in found["differences"]} == {played[1].policy.targets[1].name}


def test_a_forged_question_with_a_hash_that_fits_is_found(
    engine: Engine, played: tuple[Path, Day], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever writes the database may write anything: no traceback, and no answer."""
    decision = one_with_inputs(engine)
    inputs, decisions = tables.decision_inputs, tables.decisions
    for question in ('["decide",{"x":1},2]', '["open",[1,{"g":"rtx-4090"},2,3],1]', "[", '"a"'):
        forged = Evidence(inputs=question, answer="null")
        body = keeping.pack(f"{forged.inputs}\n{forged.answer}")
        change(engine, inputs, inputs.c.decision_id == decision.id, body=body)
        change(engine, decisions, decisions.c.id == decision.id, inputs_sha256=forged.digest)

        (found,) = replayed(played[0], capsys, code=1)["differences"]

        assert found["problem"].startswith("cannot be ")


def test_other_code_of_the_owners_is_said(
    engine: Engine, played: tuple[Path, Day], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no difference: nobody can say what the old one would answer."""
    file = played[0] / "own_replayed.py"
    file.write_text(RULE + "\n# another thought\n")
    try:
        found = replayed(played[0], capsys)
    finally:
        file.write_text(RULE)

    assert found["code_changed"] > 0
    assert found["different"] == 0


def test_inputs_go_when_their_time_is_over(
    engine: Engine, played: tuple[Path, Day], capsys: pytest.CaptureFixture[str]
) -> None:
    """The decisions and their hashes stay."""
    _, day = played
    before = len(rows(engine, tables.decisions))
    from bidder.store.store import Store

    store = Store(engine, day.policy.account)
    while store.tidy(day.clock.now() + timedelta(hours=1), Retention(inputs=timedelta(minutes=30))):
        pass

    found = replayed(played[0], capsys)

    assert (found["verified"], found["different"]) == (0, 0)
    assert found["not_kept"] >= 30
    assert len(rows(engine, tables.decisions)) == before


def test_replay_must_be_told_what_to_do(
    engine: Engine, played: tuple[Path, Day], capsys: pytest.CaptureFixture[str]
) -> None:
    """And a time that is none is one line."""
    config = str(played[0] / "config.yaml")

    assert main(["replay", "-c", config]) == 2
    assert main(["replay", "--verify", "--since", "soon", "-c", config]) == 2
    assert main(["replay", "--verify", "--since", "1s", "-c", config]) == 0
    shown = capsys.readouterr()
    assert len(shown.err.splitlines()) == 2
    assert shown.out == "No decision is stored for that time.\n"


def test_waiting_for_a_look_is_no_news(engine: Engine) -> None:
    """Of a bid of which something is known, the history does not say that its book grew old."""
    decided = [row for row in rows(engine, tables.decisions) if row.order_id is not None]
    first: set[int] = set()
    for row in decided:
        assert row.reason != "stale" or row.order_id not in first
        first.add(row.order_id)
    assert first
