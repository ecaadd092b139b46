"""Each kind of bad input gets one line with place, key, value and remedy, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bidder.config import ConfigProblems, load_settings
from bidder.errors import BadInput, ConfigError

Errors = Callable[..., tuple[str, ...]]

GOOD = """\
rates: {BTC: 69000, CLORE: 0.011}
strategies:
  - name: one
    ceiling: {usd: 3.50}
    servers: {gpu: RTX 3090}
    launch: {image: ubuntu}
"""


def with_ceiling(ceiling: str) -> str:
    """Return the good configuration with another ceiling."""
    return GOOD.replace("{usd: 3.50}", ceiling)


def with_line(line: str) -> str:
    """Return the good configuration with one more line in its strategy, line 7."""
    return f"{GOOD}    {line}\n"


def with_launch(more: str) -> str:
    """Return the good configuration with more in its launch."""
    return GOOD.replace("{image: ubuntu}", f"{{image: ubuntu, {more}}}")


def with_job(more: str = "", *, by: str = "2027-01-01T00:00Z") -> str:
    """Return the good configuration with a job (lines 7 and 8) and one more line."""
    job = f"{{gpu_hours: 4, by: {by}, on_demand_ceiling: {{usd: 9}}}}"
    gpus = GOOD.replace("RTX 3090}", "RTX 3090, gpus: 1}")
    return f"{gpus}    strategy: deadline\n    deadline: {job}\n    {more}\n"


SECOND = """\
  - name: two
    ceiling: {usd: 3}
    servers: {gpu: RTX 4090}
    launch: {image: ubuntu}
"""

CASES = {
    "unknown key": (with_line("wnat: 2"), "7: strategies[0].wnat: unknown key; did you mean 'want'?"),
    "unknown key, nothing near": (
        GOOD + "zzz: 1\n",
        "7: zzz: unknown key; known here: mode, account, exchange",
    ),
    "unknown key in a section": (GOOD + "rails: {max_order: 1}\n", "did you mean 'max_orders'?"),
    "wrong type": (with_line("want: many"), "7: strategies[0].want: is not a whole number (got 'many')"),
    "list for a value": (with_line("want: [1]"), "7: strategies[0].want: a single value is wanted here"),
    "value for a section": (GOOD + "rails: 5\n", "7: rails: keys and values are wanted here"),
    "section for a value": (GOOD + "mode: {a: b}\n", "mode: a single value is wanted here"),
    "wrong word": (
        GOOD + "mode: dry\n",
        "7: mode: is none of the known words (got 'dry'); write one of: paper",
    ),
    "wrong flag": (GOOD + "adopt: maybe\n", "7: adopt: must be true or false (got 'maybe')"),
    "no value": (GOOD + "rails: {max_usd_per_day: }\n", "rails.max_usd_per_day: has no value"),
    "negative price": (
        with_ceiling("{usd: -1}"),
        "4: strategies[0].ceiling.usd: is negative (got '-1'); write a positive amount",
    ),
    "zero price": (with_ceiling("{usd: 0.00}"), "4: strategies[0].ceiling.usd: must be more than zero"),
    "nan": (
        with_ceiling("{usd: .nan}"),
        "4: strategies[0].ceiling.usd: is not a finite number (got '.nan')",
    ),
    "nan as text": (with_ceiling("{usd: NaN}"), "is not a finite number"),
    "infinite": (with_ceiling("{usd: -.inf}"), "is not a finite number"),
    "infinity": (with_ceiling("{usd: Infinity}"), "is not a finite number"),
    "absurd": (
        with_ceiling("{usd: 100001}"),
        "4: strategies[0].ceiling.usd: is absurd: more than 100000 USD",
    ),
    "absurd in bitcoin": (with_ceiling("{btc: 3.50}"), "is absurd"),
    "absurd without a rate": (
        with_ceiling("{btc: 3.50}").replace("BTC: 69000, ", ""),
        "more than 1 BTC",
    ),
    "huge": (with_ceiling("{usd: 1e999}"), "is finer or larger than money can be"),
    "endless exponent": (with_ceiling("{usd: 1e9999999}"), "is not a number"),
    "too fine": (with_ceiling("{usd: 1e-61}"), "is finer or larger than money can be"),
    "below a step": (with_ceiling("{usd: 0.00001}"), "is below the smallest price step of USD"),
    "many digits": (with_ceiling("{usd: 0." + "1" * 300 + "}"), "has too many digits"),
    "comma": (with_ceiling('{usd: "3,50"}'), "write the decimals after a point"),
    "octal": (with_ceiling("{usd: 010}"), "starts with a needless zero"),
    "price in words": (with_ceiling("{usd: 5 USD}"), "is not a number (got '5 USD')"),
    "no ceiling": (
        GOOD.replace("    ceiling: {usd: 3.50}\n", ""),
        "3: strategies[0].ceiling: there is no ceiling; add the most to pay per day",
    ),
    "empty ceiling": (with_ceiling(""), "strategies[0].ceiling: there is no ceiling"),
    "bare ceiling": (with_ceiling("3.5"), "strategies[0].ceiling: keys and values are wanted here"),
    "ceiling without amount": (with_ceiling("{per: gpu}"), "strategies[0].ceiling: names no amount"),
    "two ceilings": (with_ceiling("{usd: 1, btc: 0.1}"), "names more than one currency"),
    "one currency twice": (with_ceiling("{btc: 0.1, bitcoin: 0.1}"), "is the same currency as 'btc'"),
    "ceiling without a rate": (
        with_ceiling("{dogecoin: 3}"),
        "4: strategies[0].ceiling.dogecoin: no rate to USD is known for the currency 'dogecoin'",
    ),
    "payment without a rate": (
        with_line("pay_with: [BTC, dogecoin]"),
        "pay_with: no rate to USD is known",
    ),
    "balance without a rate": (GOOD + "rails: {min_balance: {doge: 1}}\n", "no rate to USD is known"),
    "payment twice": (
        with_line("pay_with: [BTC, btc]"),
        "pay_with: the same currency twice (got 'btc')",
    ),
    "zero rate": (GOOD.replace("69000", "0"), "1: rates.BTC: must be more than zero (got '0')"),
    "odd dollar": (GOOD.replace("BTC: 69000", "usd: 2"), "one USD is worth one USD"),
    "senseless rate": (GOOD.replace("69000", "1e12"), "is no sensible rate"),
    "duplicate name": (
        GOOD + SECOND.replace("two", "ONE"),
        "7: strategies[1].name: the same name as strategies[0] (line 3) (got 'ONE'); give each",
    ),
    "bad name": (GOOD.replace("name: one", "name: a/b"), "3: strategies[0].name: is not a usable name"),
    "number as a name": (GOOD.replace("name: one", "name: ''"), "is not a usable name"),
    "no name": (GOOD.replace("name: one", "want: 1"), "strategies[0].name: is required"),
    "overlap": (
        GOOD + SECOND.replace("RTX 4090", "[RTX 4090, GeForce RTX 3090]"),
        "9: strategies[1].servers: 'two' could bid on the same server as 'one' (line 3); make gpu",
    ),
    "want of none": (with_line("want: 0"), "7: strategies[0].want: is out of range (got '0')"),
    "want of very many": (with_line("want: 1001"), "write a whole number from 1 to 1000"),
    "want of a half": (with_line("want: 1.5"), "is not a whole number"),
    "no strategies": ("mode: paper\n", "1: strategies: there is no strategy"),
    "empty strategies": ("strategies: []\n", "1: strategies: a list of strategies is wanted"),
    "strategies as keys": ("strategies: {a: 1}\n", "a list of strategies is wanted here"),
    "empty entry": ("strategies:\n  -\n", "2: strategies[0]: the entry is empty"),
    "six ports": (
        with_launch("ports: {1: tcp, 2: tcp, 3: tcp, 4: tcp, 5: tcp, 6: tcp}"),
        "6: strategies[0].launch.ports: ",
    ),
    "port of a third kind": (
        with_launch("ports: {22: udp}"),
        "a port is either tcp or http (got 'udp')",
    ),
    "port out of range": (with_launch("ports: {70000: tcp}"), "the port is out of range"),
    "port of words": (with_launch("ports: {ssh: tcp}"), "the key is not a port number"),
    "port twice": (with_launch("ports: [22, 22/http]"), "port 22 is opened twice"),
    "ampersand in env": (with_launch("env: {A: 'one&two'}"), "6: strategies[0].launch.env.A: "),
    "long env": (with_launch(f"env: {{A: {'x' * 1537}}}"), "6: strategies[0].launch.env.A: "),
    "long env name": (with_launch(f"env: {{{'A' * 129}: x}}"), "6: strategies[0].launch.env: a name"),
    "password": (with_launch("ssh_password: 'pa$$word'"), "6: strategies[0].launch.ssh_password: "),
    "no image": (GOOD.replace("image: ubuntu", ""), "6: strategies[0].launch.image: is required"),
    "private key": (
        with_launch("ssh_key: '-----BEGIN OPENSSH PRIVATE KEY-----'"),
        "ssh_key: this is a private key",
    ),
    "unset reference": (
        with_launch("command: {env: NOPE}"),
        "launch.command.env: the environment variable",
    ),
    "missing reference": (
        with_launch("command: {file: nope}"),
        "launch.command.file: there is no such file",
    ),
    "odd reference": (
        with_launch("command: {fil: nope}"),
        "launch.command: is neither text nor a reference",
    ),
    "list as a secret": (with_launch("command: [a]"), "launch.command: is neither text nor a reference"),
    "renewal too early": (
        GOOD.replace("RTX 3090}", "RTX 3090, mrl_hours: 1}") + "    renew: {before: 60m}\n",
        "7: strategies[0].renew.before: is not shorter than the rental that servers.mrl_hours asks for",
    ),
    "duration": (
        GOOD + "pace: {orders_every: soon}\n",
        "7: pace.orders_every: is not a duration (got 'soon')",
    ),
    "pace too fast": (GOOD + "pace: {marketplace_every: 0.5s}\n", "write a duration from 1s to 1d"),
    "share": (
        with_line("move: {saving: 10}"),
        "is out of range (got '10'); write a share from 0% to 99%",
    ),
    "wrong settings": (
        with_line("fixed: {price: {usd: 1}}"),
        "fixed: does not belong to strategy: track",
    ),
    "moves of a fixed bid": (
        with_line("strategy: fixed\n    move: {running: true}"),
        "8: strategies[0].move: belongs to strategies whose bids follow the market",
    ),
    "job without a deadline": (
        with_line("strategy: deadline\n    deadline: {gpu_hours: 4, on_demand_ceiling: {usd: 9}}"),
        "8: strategies[0].deadline.by: is required; say by when, such as by: 2027-01-01T00:00Z",
    ),
    "job without a ceiling on demand": (
        with_line("strategy: deadline\n    deadline: {gpu_hours: 4, by: 2027-01-01T00:00Z}"),
        "deadline.on_demand_ceiling: there is no ceiling for servers on demand; add",
    ),
    "moment without a zone": (
        with_job(by="2027-01-01"),
        "8: strategies[0].deadline.by: has no time zone (got '2027-01-01'); write it with its time zone",
    ),
    "no moment": (
        with_job(by="tomorrow"),
        "8: strategies[0].deadline.by: is no moment (got 'tomorrow')",
    ),
    "moment beyond all time": (
        with_job(by="'0001-01-01T00:00+23:59'"),
        "8: strategies[0].deadline.by: is out of range (got '0001-01-01T00:00+23:59'); write a moment",
    ),
    "overlap of a job": (
        with_job("renew: {overlap: true}"),
        "9: strategies[0].renew.overlap: does not belong to strategy: deadline",
    ),
    "settings of the strategy that does not bid": (
        with_job("adaptive: {confirm: true}"),
        "9: strategies[0].adaptive: does not belong to strategy: deadline; set deadline.spot: adaptive",
    ),
    "fixed above ceiling": (
        with_line("strategy: fixed\n    fixed: {price: {usd: 4}}"),
        "8: strategies[0].fixed.price: is above the ceiling of 3.5 USD (got '4')",
    ),
    "fixed per gpu": (
        with_line("strategy: fixed\n    fixed: {price: {usd: 1, per: gpu}}"),
        "strategies[0].fixed.price.per: is no currency; remove it",
    ),
    "fixed above ceiling in coin": (
        with_line("strategy: fixed\n    fixed: {price: {btc: 0.001}}"),
        "is above the ceiling",
    ),
    "gpus": (
        GOOD.replace("RTX 3090}", "RTX 3090, gpus: {min: 4, max: 2}}"),
        "gpus.max: is less than min",
    ),
    "gpu with a count": (GOOD.replace("RTX 3090", "2x RTX 3090"), "names a count with the model"),
    "gpu without a model": (GOOD.replace("RTX 3090", "NVIDIA GeForce"), "names no GPU"),
    "country": (
        GOOD.replace("gpu: RTX 3090", "countries: [Germany]"),
        "is not a country code (got 'Germany')",
    ),
    "country in and out": (
        GOOD.replace("gpu: RTX 3090", "countries: [DE], not_countries: [DE]"),
        "servers.countries: all of these are also in not_countries",
    ),
    "no ids": (GOOD.replace("gpu: RTX 3090", "ids: []"), "servers.ids: the list is empty"),
    "cuda": (GOOD.replace("gpu: RTX 3090", "cuda: new"), "is not a version (got 'new')"),
    "inline token": (GOOD + "account: {token: abcdef}\n", "7: account.token: a token does not belong"),
    "two token sources": (
        GOOD + "account: {token_env: A, token_file: b}\n",
        "the token has two sources",
    ),
    "token as a variable": (
        GOOD + "account: {token_env: d3adbeef-1}\n",
        "is not the name of a variable",
    ),
    "database": (GOOD + "database: mysql://h/x\n", "7: database: is neither a path nor a usable"),
    "live in memory": (GOOD + "mode: live\ndatabase: 'sqlite://'\n", "a database in memory forgets"),
    "exchange": (GOOD + "exchange: {url: ftp://x}\n", "7: exchange.url: is not the URL of an API"),
    "exchange login": (GOOD + "exchange: {url: 'https://u:p@x/'}\n", "holds a login"),
    "exchange port": (GOOD + "exchange: {url: 'https://x:99999/'}\n", "is not the URL of an API"),
    "broken YAML": ("a: [1\nb: 2\n", "broken YAML: "),
    "bad indentation": ("a:\n  b: 1\n c: 2\n", "3: broken YAML: "),
    "tab": (
        "a:\n\tb: 1\n",
        "2: broken YAML: found character '\\t' that cannot start any token; indent with spaces",
    ),
    "colon": ("a: b: c\n", "1: broken YAML: mapping values are not allowed"),
    "alias without anchor": ("a: *nowhere\n", "1: broken YAML: found undefined alias '…'"),
    "key twice": (
        GOOD + "mode: paper\nmode: live\n",
        "8: mode: this key stands here twice; keep one; the",
    ),
    "key of keys": ("? {a: b}\n: c\n", "1: a key must be a single word"),
    "two documents": (GOOD + "---\na: b\n", "7: broken YAML: a second document begins here"),
    "tag": (GOOD + "mode: !!python/name:os.system x\n", "7: mode: YAML tags are not understood"),
    "empty": ("", "the file is empty"),
    "only comments": ("# nothing\n", "the file is empty"),
    "a list": ("- a\n", "1: the file is not a mapping"),
    "a word": ("hello\n", "1: the file is not a mapping"),
    "control character": ("a: b\nc: \x07\n", "2: the control character U+0007"),
    "NUL": ("mode: paper\na: \x00\n", "2: the control character U+0000"),
    "UTF-16": ("mode: paper".encode("utf-16"), "1: the file is not UTF-8 text; save it as UTF-8"),
    "UTF-16 without mark": ("mode: paper".encode("utf-16-le"), "the file is not UTF-8 text"),
    "binary": (b"\x7fELF\xff\xfe\x80", "the file is not UTF-8 text"),
    "latin-1": ("a: 1\nname: Käse".encode("latin-1"), "2: the file is not UTF-8 text"),
    "large": (b"#" * 300_000, "the file is larger than 256 KiB"),
    "deep": ("[" * 5000, "the file is too deeply nested"),
    "deep keys": ("".join(" " * i + "a:\n" for i in range(200)), "the file is too deeply nested"),
    "endless alias": ("a: &a [*a]\n", "aliases make this endless or too large"),
    "laughs": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "aliases make this endless or too large",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_error_is_one_line_that_helps(errors: Errors, case: str) -> None:
    """The line names place, key, value and remedy."""
    text, expected = CASES[case]

    found = errors(text)

    assert any(expected in line for line in found), found
    if case not in _SEVERAL:
        assert len(found) == 1, found


_SEVERAL = {
    "unknown key, nothing near",
    "key of keys",
    "laughs",
    "endless alias",
    "no name",
    "port twice",
}


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file(errors: Errors) -> None:
    """An owner mends a file once, not once for each error."""
    found = errors(
        "mode: dry\nstrategies:\n  - name: one\n    want: 0\n    ceilng: {usd: 1}\nadopt: 5\n"
    )

    assert [line.split(":")[0] for line in found] == ["1", "3", "3", "4", "5", "6"]


def test_bom_and_windows_lines_are_fine(tmp_path: Path) -> None:
    """What Windows editors write can be read."""
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())

    assert load_settings(path, {}).policy.targets[0].name == "one"


def test_missing_file(tmp_path: Path) -> None:
    """A missing file is named, with where to start."""
    with pytest.raises(
        ConfigProblems, match=r"nope.yaml: there is no such file; name the configuration"
    ):
        load_settings(tmp_path / "nope.yaml", {})


def test_directory(tmp_path: Path) -> None:
    """A directory is not taken for a file."""
    with pytest.raises(ConfigProblems, match="this is a directory, not a file"):
        load_settings(tmp_path, {})


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "a\nb\x1b[31m"])
def test_impossible_file_names(tmp_path: Path, name: str) -> None:
    """A name that no file can have is an error of one line, not a traceback."""
    with pytest.raises(BadInput) as caught:
        load_settings(tmp_path / name, {})
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_unreadable_file(tmp_path: Path) -> None:
    """A file without read permission is named."""
    path = tmp_path / "c.yaml"
    path.write_text(GOOD)
    path.chmod(0)
    try:
        path.read_text()
    except PermissionError:
        with pytest.raises(ConfigProblems, match="may not be read"):
            load_settings(path, {})
    else:
        pytest.skip("this user may read everything")


@pytest.mark.parametrize("token", ["", "  ", "a\nb", "a b", "täken", "x" * 600, "a\x00b"])
def test_malformed_token(errors: Errors, token: str) -> None:
    """A token that can be none is refused where it comes from, without being shown."""
    (found,) = errors(GOOD, CLORE_TOKEN=token)

    assert "environment variable CLORE_TOKEN: the token" in found
    assert not token.strip() or token not in found


def test_secret_that_is_no_text(errors: Errors) -> None:
    """A variable with bytes that are not UTF-8 is refused before a request has to carry it."""
    (found,) = errors(with_launch("command: {env: ODD}"), ODD="run\udcff")

    assert "launch.command.env: the environment variable ODD is not UTF-8 text" in found


def test_bad_overrides_name_the_variable(errors: Errors) -> None:
    """An error in the environment does not point into the file."""
    found = errors(GOOD, BIDDER_EXCHANGE_URL="nonsense", BIDDER_DATABASE_URL="mysql://x")

    assert any("environment variable BIDDER_EXCHANGE_URL: is not the URL" in line for line in found)
    assert any("environment variable BIDDER_DATABASE_URL: is neither" in line for line in found)


@pytest.mark.parametrize("odd", ["\U00018d09", "\u202e", "\xa0", "\U000e0001"])
def test_odd_characters_are_escaped(errors: Errors, odd: str) -> None:
    """A key or a currency cannot break the line or turn it around."""
    found = errors(with_line(f'pay_with: "x{odd}y"') + f'"k{odd}": 1\n')

    assert len(found) == 2
    assert all(line.isprintable() for line in found)


def test_error_in_the_shared_launch_is_told_once(errors: Errors) -> None:
    """A default that several strategies use is wrong in one place."""
    text = "launch: {image: 5, prots: {}}\n" + (GOOD + SECOND).replace(
        "    launch: {image: ubuntu}\n", ""
    )
    found = errors(text)

    assert {line.split(" (")[0] for line in found} == {
        "1: launch.prots: unknown key; did you mean 'ports'?",
        "1: launch.image: text is wanted here",
    }
    assert len(found) == 2


def test_very_many_errors_are_cut_short(errors: Errors) -> None:
    """A wrong file fills a screen, not a disk."""
    found = errors("".join(f"k{i}x: 1\n" for i in range(500)))

    assert len(found) == 51
    assert "451 more problems are not shown" in found[-1]


def test_problems_are_config_errors(tmp_path: Path) -> None:
    """Each problem keeps its parts for those who want them apart."""
    path = tmp_path / "c.yaml"
    path.write_text(GOOD + "mode: dry\n")
    with pytest.raises(ConfigProblems) as caught:
        load_settings(path, {})
    (problem,) = caught.value.problems

    assert isinstance(problem, ConfigError)
    assert (problem.line, problem.key, problem.value) == (7, "mode", "dry")
