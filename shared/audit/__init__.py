"""The audit log: who did what, on what, from where, and how it ended."""

from __future__ import annotations

from shared.audit.event import Event
from shared.audit.recorder import close, configure, flush, record, write

__all__ = ["Event", "close", "configure", "flush", "record", "write"]
