"""Single probes of real servers on loopback: alive, silent, or not to be knocked at."""

import asyncio
import ssl
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from workloads import HOST, LOOPBACK, Manner, workload

from bidder.domain.market import Access
from bidder.domain.probe import Outcome, Place, Probe, ProbeKind
from bidder.probe.knocking import Found, knock, knock_at

QUICK = timedelta(seconds=0.4)
REDIRECT = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:%d/\r\ncontent-length: 0\r\n\r\n"
COOKIE = b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"


def access(port: int, *hosts: str) -> Access:
    """Return how the exchange says that port 22 is reached."""
    return Access(pub_cluster=hosts or (HOST,), tcp_ports=(f"22:{port}",))


async def knocked(port: int, *hosts: str, **probe: Any) -> Found:
    """Return what a probe of port 22 finds where loopback is allowed."""
    asked = Probe(port="22", **{"allow_networks": LOOPBACK, "timeout": QUICK, **probe})
    return await knock(access(port, *hosts), asked)


# --- TCP


@pytest.mark.parametrize(
    ("manner", "outcome", "detail"),
    [
        ("banner", Outcome.ALIVE, ""),
        ("quiet", Outcome.ALIVE, ""),
        ("hangs_up", Outcome.SILENT, "it hangs up at once"),
    ],
)
async def test_a_connection_counts_unless_it_is_hung_up(
    manner: Manner, outcome: Outcome, detail: str
) -> None:
    """A forwarder takes every connection; behind it there may be nobody."""
    async with workload(manner) as there:
        assert await knocked(there.port) == Found(outcome=outcome, detail=detail)


async def test_a_port_that_nobody_listens_at_is_silent() -> None:
    """And alive again when somebody does."""
    async with workload() as there:
        await there.die()
        assert await knocked(there.port) == Found(
            outcome=Outcome.SILENT, detail="the connection is refused"
        )
        await there.rise()
        assert (await knocked(there.port)).outcome is Outcome.ALIVE


async def test_of_several_hosts_one_that_lives_is_enough() -> None:
    """They lead to the same order; another one that cannot be resolved changes nothing."""
    async with workload() as there:
        assert (await knocked(there.port, "gone.invalid", HOST)).outcome is Outcome.ALIVE


# --- HTTP


@pytest.mark.parametrize(
    ("status", "expect", "outcome"),
    [
        (200, (200, 399), Outcome.ALIVE),
        (302, (200, 399), Outcome.ALIVE),
        (302, (200, 299), Outcome.SILENT),
        (401, (401, 401), Outcome.ALIVE),
        (502, (200, 399), Outcome.SILENT),
    ],
)
async def test_the_status_decides(status: int, expect: tuple[int, int], outcome: Outcome) -> None:
    """As the owner expects it."""
    answer = b"HTTP/1.1 %d x\r\ncontent-length: 0\r\n\r\n" % status
    async with workload("http", answer) as there:
        found = await knocked(there.port, kind=ProbeKind.HTTP, expect=expect)
    assert found.outcome is outcome
    assert found.detail == ("" if outcome is Outcome.ALIVE else f"HTTP status {status}")


async def test_a_get_names_its_host_and_path_and_nothing_secret() -> None:
    """One request, to the address that was judged, with the name that the exchange told."""
    async with workload("http") as there:
        await knocked(there.port, "localhost", kind=ProbeKind.HTTP, path="/health?deep=1")
        head = there.heard[0].decode().lower().splitlines()
    assert head[0] == "get /health?deep=1 http/1.1"
    assert f"host: localhost:{there.port}" in head
    assert {line.partition(":")[0] for line in head[1:] if line} <= {
        *("host", "user-agent", "accept", "accept-encoding", "connection"),
    }


async def test_no_redirect_is_followed_and_no_cookie_kept() -> None:
    """The answer is a stranger's: it leads nowhere and leaves nothing."""
    async with workload("http") as elsewhere, workload("http", REDIRECT % elsewhere.port) as there:
        assert (await knocked(there.port, kind=ProbeKind.HTTP)).outcome is Outcome.ALIVE
        assert elsewhere.heard == []
        there.answer = COOKIE
        await knocked(there.port, kind=ProbeKind.HTTP)
        await knocked(there.port, kind=ProbeKind.HTTP)
        assert b"cookie" not in there.heard[-1].lower()


async def test_no_proxy_of_the_environment_has_a_part_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name again, where nobody judges it."""
    async with workload("http") as proxy, workload("http") as there:
        monkeypatch.setenv("HTTP_PROXY", f"http://{HOST}:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://{HOST}:{proxy.port}")
        assert (await knocked(there.port, kind=ProbeKind.HTTP)).outcome is Outcome.ALIVE
        assert proxy.heard == []


@pytest.mark.parametrize(
    ("manner", "answer", "detail"),
    [
        ("mute", b"", "no answer within 0.4 s"),
        ("banner", b"", "it speaks no HTTP"),
        ("hangs_up", b"", "it speaks no HTTP"),
        ("http", b"HTTP/1.1 503 \x1b[2J\x1b]0;owned\x07\r\n\r\n", "HTTP status 503"),
        ("http", b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000, "it speaks no HTTP"),
        ("http", b"HTTP/1.1 503 $(touch owned)\r\ncontent-length: 0\r\n\r\n", "HTTP status 503"),
    ],
)
async def test_a_bad_answer_is_silence_in_words_of_ours(
    manner: Manner, answer: bytes, detail: str
) -> None:
    """Nothing of what it said is repeated, and none is read for ever."""
    async with workload(manner, answer) as there:
        found = await knocked(there.port, kind=ProbeKind.HTTP)
    assert found == Found(outcome=Outcome.SILENT, detail=detail)


async def test_a_body_without_end_is_not_read() -> None:
    """The status has been said; the rest is not waited for."""
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n" + b"x" * 1000
    async with workload("http", endless) as there:
        assert (await knocked(there.port, kind=ProbeKind.HTTP)).outcome is Outcome.ALIVE


# --- what must not be knocked at


@pytest.mark.parametrize("kind", ProbeKind)
@pytest.mark.parametrize(
    "host", [HOST, "localhost", "127.1", "2130706433", "0.0.0.0", "::ffff:127.0.0.1", "0x7f.1"]
)
async def test_an_inner_address_is_never_knocked_at(host: str, kind: ProbeKind) -> None:
    """However it is written: nothing arrives where somebody listens, and nobody is called dead."""
    async with workload("http") as there:
        found = await knocked(there.port, host, kind=kind, allow_networks=())
        assert found.outcome is Outcome.BLIND
        assert found.detail.endswith("is not public")
        assert there.heard == []
        assert there.met == 0


async def test_what_cannot_be_knocked_at_is_not_dead() -> None:
    """No port, no host, no address: nothing follows about the workload."""
    probe = Probe(port="22", timeout=QUICK)
    for told in (Access(), Access(pub_cluster=("a.example",)), Access(tcp_ports=("22:1",))):
        found = await knock(told, probe)
        assert found.outcome is Outcome.BLIND
        assert found.detail == "the exchange does not say how port 22 is reached"
    found = await knock(access(1, "no-such-host.invalid"), probe)
    assert found.outcome is Outcome.BLIND


# --- HTTPS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate with its key, of another name, that nobody vouches for."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-subj", "/CN=elsewhere.example", "-days", "1", "-keyout", "-", "-out", "-"),
        ],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("needs openssl")
    file.write_bytes(made.stdout)
    return file


async def test_behind_https_no_certificate_is_asked_for(certificate: Path) -> None:
    """The probe sends no secret, and an expired certificate of the proxy is no dead workload."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    probe = Probe(port="8888", kind=ProbeKind.HTTP, allow_networks=LOOPBACK)
    async with await asyncio.start_server(meet, HOST, 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        found = await knock_at(Place(host="localhost", port=port, tls=True), probe)
    assert found.outcome is Outcome.ALIVE
    assert names == ["localhost"]


async def test_what_speaks_no_tls_is_silent() -> None:
    """A port forwarded as http stands behind HTTPS."""
    probe = Probe(port="8888", kind=ProbeKind.HTTP, allow_networks=LOOPBACK, timeout=QUICK)
    async with workload("banner") as there:
        found = await knock_at(Place(host=HOST, port=there.port, tls=True), probe)
    assert found == Found(outcome=Outcome.SILENT, detail="it speaks no TLS")
