"""The process that apprise is loaded in: one question as JSON on its input, one answer on its output.

``{"understand": [address, ...]}`` asks which addresses apprise understands, ``{"to": address, "title":
..., "body": ..., "type": ...}`` has a message sent. Started by ``bidder.notify.sending`` for each.
"""

import json
import logging
import os
import signal
import sys
from typing import IO, Any, Self

# Who asked has given up long before; without it a process that hangs would outlive the daemon.
_LONGEST_SECONDS = 40
_LONGEST_ERROR = 2000


def main() -> None:
    """Answer one question."""
    signal.alarm(_LONGEST_SECONDS)
    answers = _own_output()
    asked = json.load(sys.stdin)
    if "understand" in asked:
        answer = {"understood": [_understood(address) is not None for address in asked["understand"]]}
    else:
        answer = _send(asked)
    json.dump(answer, answers)
    answers.flush()


def _own_output() -> IO[str]:
    """Keep standard output for the answer: a plugin that prints must not spoil it."""
    kept = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    return kept


def _understood(address: str) -> Any:
    """Return apprise with this one address; None where it is none."""
    import apprise

    # Its own log may quote addresses; what matters of it is in the answer.
    logging.getLogger("apprise").propagate = False
    found = apprise.Apprise()
    return found if found.add(address) else None


def _send(message: dict[str, Any]) -> dict[str, Any]:
    service = _understood(message["to"])
    if service is None:
        return {"sent": False, "error": "it is no address that apprise understands"}
    with _Overheard() as heard:
        try:
            sent = service.notify(
                title=message["title"], body=message["body"], notify_type=message["type"]
            )
        except Exception as exc:  # noqa: BLE001 - whatever a plugin fails with is the answer
            return {"sent": False, "error": _told(exc)[:_LONGEST_ERROR]}
    if sent:
        return {"sent": True, "error": ""}
    return {"sent": False, "error": (heard.last or "the service did not take it")[:_LONGEST_ERROR]}


def _told(exc: Exception) -> str:
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


class _Overheard(logging.Handler):
    """Keeps the last warning that apprise logs while the block lasts, in whichever thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()

    def __enter__(self) -> Self:
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self)


if __name__ == "__main__":
    main()
