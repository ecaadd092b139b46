"""``bidder check`` in process on anything that may stand in a configuration file.

Exit code 0 or 2, lines for a person, never a traceback, never a secret.
"""

import contextlib
import io
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bidder.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "canary-4711-token"
SECRETS = tuple(
    f"canary-4711-{name}" for name in ("token", "inline", "ssh", "jupyter", "env", "command")
)
EXAMPLE = (ROOT / "config.example.yaml").read_text()
# The example, with a secret in every field that may hold one.
FULL = EXAMPLE.replace(
    "  ports: {22: tcp, 8888: http}",
    """  ports: {22: tcp, 8888: http}
  ssh_password: canary-4711-ssh
  jupyter_token: canary-4711-jupyter
  command: canary-4711-command
  env: {KEY: canary-4711-env}""",
)
HOSTILE = (
    *("\t", "\x00", "\x1b[31m", "\ufeff", "\u202e", "\u2028", "\x85"),
    *("\x9b", "---\n", "...\n", "%YAML 9\n"),
    *("&a ", "*a", "<<: *a\n", "!!python/object/apply:os.system ", "!!binary ", "!x ", "? ", "| ", "> "),
    *("[" * 200, "{a: " * 200, "- " * 100, "1e999999999", "9" * 400),
    *(".nan", ".inf", "0x10", "0o7", "1_000"),
    *("\n  ", "\n", ": ", "#", "'"),
    *('"', "{", "}", "[", "]", ",", "@", "`", "\\", "~", "null", "=", "2026-01-01"),
    *("{file: /dev/zero}", "{file: .}", "{file: nowhere}", "{env: NOWHERE}", "{env: ''}", "{file: ''}"),
)  # fmt: skip
VALUES = (
    *("", "null", "~", "true", "-1", "0", "1e400", "1e999999999", "9" * 300, ".nan", "''", "[]", "{}"),
    *("[[]]", "{a: {b: {c: 1}}}", "x", "'\\0'", "!!str 1", "&a [*a]"),
    *("1:2:3", "2026-01-01", "0.1.2", "é" * 99),
    *("{usd: 1e30}", "{usd: [1]}", "[a, a, a]", "100000d", "1e30s", "-5%", "1e9%", "{min: 9, max: 1}"),
)  # fmt: skip
BOUNDED = settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLORE_TOKEN", TOKEN)
    for name in list(os.environ):
        if name.startswith("BIDDER_") or name in {"STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"}:
            monkeypatch.delenv(name)


def checked(folder: Path, content: bytes, *, secrets: bool = True) -> tuple[int, str]:
    """Return the exit code of ``bidder check`` and all that it printed, having looked it over."""
    path = folder / "config.yaml"
    path.write_bytes(content)
    # Every other file as JSON: both ways of printing meet everything.
    extra = ["--json"] if len(content) % 2 else []
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["check", "-c", str(path), *extra])
    shown = out.getvalue() + err.getvalue()
    assert code in {0, 2}, shown
    assert "Traceback" not in shown
    assert "should not happen" not in shown
    assert all(line.isprintable() for line in shown.split("\n")), shown
    assert len(shown) < 200_000
    lines = err.getvalue().splitlines()
    assert all(line.startswith(("error: ", "warning: ")) for line in lines)
    assert (code == 2) == any(line.startswith("error: ") for line in lines)
    if secrets:
        for secret in SECRETS:
            assert secret not in shown
    return code, shown


@pytest.mark.parametrize("text", [EXAMPLE, FULL])
def test_what_is_mutated_is_good_before(tmp_path: Path, text: str) -> None:
    """Otherwise the mutations would all end at the same error."""
    assert checked(tmp_path, text.encode())[0] == 0


@BOUNDED
@given(content=st.binary(max_size=300))
@example(content=b"\xff\xfe\x00")
@example(content=b"\xef\xbb\xbfmode: paper")
@example(content="mode: paper".encode("utf-16"))
@example(content=b"a: " + b"[" * 1000)
@example(content=b"\r\n\x85\xe2\x80\xa8: 1")
def test_arbitrary_bytes(tmp_path: Path, content: bytes) -> None:
    """Also those that are no text at all."""
    checked(tmp_path, content, secrets=False)


@BOUNDED
@given(
    pieces=st.lists(
        st.sampled_from(HOSTILE)
        | st.text(max_size=10)
        | st.sampled_from(EXAMPLE.splitlines(keepends=True)),
        max_size=25,
    )
)
def test_arbitrary_text(tmp_path: Path, pieces: list[str]) -> None:
    """Pieces of YAML and of configurations in any order."""
    checked(tmp_path, "".join(pieces).encode("utf-8", "surrogatepass"), secrets=False)


def deleted(lines: list[str], at: int, data: st.DataObject) -> list[str]:
    return lines[:at] + lines[at + data.draw(st.integers(1, 4)) :]


def doubled(lines: list[str], at: int, data: st.DataObject) -> list[str]:
    count = data.draw(st.integers(1, 6))
    return lines[: at + count] + lines[at : at + count] + lines[at + count :]


def indented(lines: list[str], at: int, data: st.DataObject) -> list[str]:
    blanks = data.draw(st.sampled_from([" ", "  ", "    ", "\t", "- "]))
    return [*lines[:at], blanks + lines[at], *lines[at + 1 :]]


def outdented(lines: list[str], at: int, _: st.DataObject) -> list[str]:
    return [*lines[:at], lines[at].lstrip(), *lines[at + 1 :]]


def retyped(lines: list[str], at: int, data: st.DataObject) -> list[str]:
    key, colon, _ = lines[at].partition(":")
    return [*lines[:at], f"{key}{colon or ':'} {data.draw(st.sampled_from(VALUES))}", *lines[at + 1 :]]


def infected(lines: list[str], at: int, data: st.DataObject) -> list[str]:
    line = lines[at]
    place = data.draw(st.integers(0, len(line)))
    return [
        *lines[:at],
        line[:place] + data.draw(st.sampled_from(HOSTILE)) + line[place:],
        *lines[at + 1 :],
    ]


def nested(lines: list[str], at: int, data: st.DataObject) -> list[str]:
    depth = data.draw(st.sampled_from([1, 5, 40, 400]))
    return [*lines[:at], lines[at].rstrip() + "[" * depth + "]" * depth, *lines[at + 1 :]]


MUTATIONS = (deleted, doubled, indented, outdented, retyped, infected, nested)
CONTENT = "\n".join(
    line for line in FULL.splitlines() if line.strip() and not line.lstrip().startswith("#")
)


@settings(BOUNDED, max_examples=150)
@given(data=st.data())
def test_a_good_file_with_anything_done_to_it(tmp_path: Path, data: st.DataObject) -> None:
    """Lines deleted, doubled, moved in and out, values retyped, odd characters put anywhere."""
    lines = CONTENT.split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        if not lines:
            break
        at = data.draw(st.integers(0, len(lines) - 1))
        lines = data.draw(st.sampled_from(MUTATIONS))(lines, at, data)

    checked(tmp_path, "\n".join(lines).encode("utf-8", "surrogatepass"))


def test_every_value_replaced_by_every_odd_one(tmp_path: Path) -> None:
    """Not by chance only: each line of the example with each odd value in turn."""
    lines = CONTENT.split("\n")
    for at, line in enumerate(lines):
        key, colon, _ = line.partition(":")
        if not colon:
            continue
        for value in VALUES[at % 9 :: 9]:
            checked(tmp_path, "\n".join([*lines[:at], f"{key}: {value}", *lines[at + 1 :]]).encode())


def bomb(levels: int, width: int) -> str:
    """Return a short file whose aliases expand to ``width ** levels`` nodes."""
    lines = (
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, levels)
    )
    return "\n".join(["a0: &a0 x", *lines])


@pytest.mark.parametrize(
    "text",
    [
        bomb(20, 9),
        bomb(200, 2),
        "a: &a [*a, *a]",
        "a: &a {<<: *a}",
        "a: &a {b: {<<: [*a, *a]}}",
        "\n".join(f"k{number}: &k{number} {{<<: *k{number - 1}}}" for number in range(1, 500)),
        "x: " + "[" * 50_000,
        "x:\n" + "".join(" " * depth + "-\n" for depth in range(300)),
        "x: " + "{a: " * 50_000,
        "? " * 30_000,
        "- " * 60_000,
        "&a " * 5_000 + "x",
        "x: '" + "'" * 200_000,
        "x: " + "9" * 200_000,
        "x: " + "a " * 100_000,
        "\n".join(f"key{number}: 1" for number in range(4_000)),
        "strategies:\n" + "  - {}\n" * 3_000,
        "#" * 250_000,
        "x" * 300_000,
    ],
    ids=range(19),
)
def test_a_bomb_does_not_go_off(tmp_path: Path, text: str) -> None:
    """Aliases, depth and length: refused, and without filling the memory."""
    tracemalloc.start()
    try:
        code, _ = checked(tmp_path, text.encode(), secrets=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert code == 2
    assert peak < 200 * 1024 * 1024
