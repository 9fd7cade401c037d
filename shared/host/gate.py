"""The gate: ask the application in a worker thread before the first byte of a body is taken."""

from __future__ import annotations

import logging
from typing import Any

from shared.errors import InternalError
from shared.host.contract import Admission, Lane, Refusal
from shared.host.parser import S3Parser
from shared.request import Request

log = logging.getLogger("maxiofs.host")


class Gate:
    """A task that decides about one request whose head has arrived; the channel reads nothing meanwhile."""

    lane: Lane = "fast"  # deciding is short work even when the upload is not

    def __init__(self, channel: Any, parser: S3Parser, request: Request) -> None:
        self.channel, self.parser, self.request = channel, parser, request

    def service(self) -> None:
        """Ask, and have the I/O thread act on the answer."""
        outcome = self._ask()
        self.channel.server.call_soon(lambda: self.channel.pass_gate(self.parser, outcome))

    def cancel(self) -> None:
        """The server ends before anybody decided."""
        self.channel.cancel()

    def _ask(self) -> Admission | Refusal:
        app = self.channel.server.app
        try:
            admission = self.parser.admission
            outcome: Admission | Refusal = app.admit(self.request) if admission is None else admission.ask_again()
        except Exception:
            log.exception("the application failed to admit %s", self.parser.path)
            outcome = Refusal(app.refuse(self.request, InternalError()))
        return outcome
