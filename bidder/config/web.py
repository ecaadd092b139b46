"""Where the status page and the metrics listen, and who may read them."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from bidder.config import values
from bidder.config.needs import Part
from bidder.config.reader import Section
from bidder.config.secrets import Surroundings, secret_text
from bidder.config.tree import Scalar

_PLACE = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[^:\[\]]+)):(?P<port>[0-9]{1,5})\Z")
_SHORTEST_TOKEN: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """An address and a port (0: any free one); ``token`` None lets everybody on this machine read."""

    host: str
    port: int
    token: str | None = field(default=None, repr=False)

    @property
    def loopback(self) -> bool:
        """Return whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


def read_web(top: Section, around: Surroundings) -> WebSettings | None:
    """Return where to listen; None where the file does not ask for it."""
    if not top.has("web"):
        return None
    web = top.section("web")
    place = web.required("listen", _place, "write an address and a port, such as 127.0.0.1:9464")
    node = web.node("token")
    token = None if node is None else secret_text(node, around, Part.WEB)
    if token is not None and (
        len(token) < _SHORTEST_TOKEN or not all("!" <= letter <= "~" for letter in token)
    ):
        web.add(
            "token",
            f"is not at least {_SHORTEST_TOKEN} printable characters without blanks",
            "make one with: openssl rand -hex 24",
        )
    if place is None:
        return None
    settings = WebSettings(host=place[0], port=place[1], token=token)
    if not settings.loopback and node is None:
        web.add(
            "listen",
            "can be reached from other machines, so it needs a token",
            "add web.token: {env: NAME}, or listen on 127.0.0.1",
            f"[{settings.host}]:{settings.port}"
            if ":" in settings.host
            else f"{settings.host}:{settings.port}",
        )
    return settings


def _place(scalar: Scalar) -> tuple[str, int]:
    wrong = values.Unusable("is not an address and a port", "write one such as 127.0.0.1:9464")
    found = _PLACE.match(scalar.text.strip())
    if found is None or int(found["port"]) > 65535:
        raise wrong
    host = found["six"] or found["four"]
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise wrong from None
    return str(address), int(found["port"])
