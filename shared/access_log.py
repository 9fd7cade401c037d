"""What the server writes about itself: one access line per request, and warnings that carry the request id."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from shared.request import Request

HIDDEN = "REDACTED"
MAX_PATH = 2048         # characters of the request line that are kept
MAX_AGENT = 256
MAX_KNOWN_NAME = 64     # longer names of parameters are looked at anew each time

# Query parameters whose value lets somebody act as the sender. Access key ids and credential scopes are no secrets.
_SECRET_NAME = re.compile(r"signature$|security-?token$|customer-key$|password|secret|authorization|^(access_|session)?token$")
_USER_INFO = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/?#]*@", re.I)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

request_id: ContextVar[str] = ContextVar("request_id", default="")      # set by the pipeline, added to every log record


def redact(target: str) -> str:
    """The request target with secrets in its query (and user:password of an absolute form) replaced."""
    if "://" in target[:16]:
        target = _USER_INFO.sub(rf"\1{HIDDEN}@", target)
    path, mark, query = target.partition("?")
    if not mark:
        return path
    if ";" in query:
        return path + mark + "".join(_redact_pair(piece) for piece in re.split(r"([&;])", query))
    return path + mark + "&".join(map(_redact_pair, query.split("&")))


def _redact_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    secret = equals and (_is_known_secret(name) if len(name) <= MAX_KNOWN_NAME else _is_secret(name))
    return f"{name}={HIDDEN}" if secret else pair


def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(unquote_plus(name).strip().lower()) is not None


_is_known_secret = lru_cache(4096)(_is_secret)      # the same few names come again and again; values never get here


class AccessLog:
    """Writes one line per request to a file descriptor, each with a single write(), from any thread."""

    def __init__(self, form: str = "json", fd: int = 1) -> None:
        self._line = _json_line if form == "json" else _text_line
        self._fd = fd
        self._lock = threading.Lock()

    def write(self, request: Request | None, *, status: int, duration_s: float, remote: str = "", operation: str = "",
              bucket: str | None = None, key: bytes | None = None, code: str | None = None, access_key: str | None = None,
              bytes_in: int = 0, bytes_out: int = 0, id: str = "", reason: str | None = None) -> None:
        """Log one answered request. ``remote`` is the client's address when a trusted proxy told it; None for the request
        means that it could not be parsed: give the ``id`` its reply carried. ``reason`` says why it was refused, where somebody decided
        that. Never raises: a full disk must not fail requests.
        """
        fields = {
            "time": timestamp(time.time()),
            "request_id": id or (request.id if request else ""),
            "remote": remote or (request.peer if request else ""),
            "method": request.method[:MAX_AGENT] if request else "",
            "path": redact(request.target)[:MAX_PATH] if request else "",
            "operation": operation,
            "bucket": bucket,
            "key": None if key is None else key.decode("utf-8", "backslashreplace"),
            "status": status,
            "code": code,
            "bytes_in": bytes_in,
            "bytes_out": bytes_out,
            "duration_ms": round(duration_s * 1000, 3),
            "access_key": access_key,
            "user_agent": (request.header("user-agent") or "")[:MAX_AGENT] if request else "",
        }
        if reason is not None:
            fields["reason"] = reason
        self._put(self._line(fields))

    def _put(self, line: str) -> None:
        data = line.encode("ascii", "backslashreplace")
        try:
            with self._lock:
                written = os.write(self._fd, data)
                while written < len(data):          # only a nearly full pipe or disk gets here
                    written += os.write(self._fd, data[written:])
        except OSError:         # nobody reads any more (EPIPE, EIO, EAGAIN) or no space: the request was served all the same
            pass


_encode = json.JSONEncoder(separators=(",", ":")).encode        # pure ASCII: every control character is escaped


def _json_line(fields: dict[str, Any]) -> str:
    return _encode(fields) + "\n"


def _text_line(fields: dict[str, Any]) -> str:
    f = {name: "-" if value in (None, "") else value for name, value in fields.items()}
    quoted = {name: json.dumps(str(f[name])) for name in ("key", "user_agent")}
    return (f"{f['time']} {_plain(f['remote'])} {_plain(f['access_key'])} {_plain(f['method'])} {_plain(f['path'])} "
            f"{f['operation']} {_plain(f['bucket'])} {quoted['key']} {f['status']} {f['code']} {f['bytes_in']} {f['bytes_out']} "
            f"{f['duration_ms']}ms {f['request_id']} {quoted['user_agent']}{_reason(f)}\n")


def _reason(fields: dict[str, Any]) -> str:
    return f" {json.dumps(fields['reason'])}" if "reason" in fields else ""


def _plain(value: str) -> str:
    """A word without blanks: control characters and blanks are escaped."""
    return _escape(value).replace(" ", "\\x20")


def _escape(value: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), value)


def timestamp(time_s: float) -> str:
    """UTC with milliseconds, as RFC 3339: 2026-11-23T05:15:00.123Z."""
    whole = int(time_s)
    return f"{_seconds(whole)}.{int((time_s - whole) * 1000):03d}Z"


_last_second: tuple[int, str] = (0, "1970-01-01T00:00:00")


def _seconds(whole: int) -> str:
    global _last_second
    last = _last_second         # one read: another thread may replace it meanwhile
    if last[0] != whole:
        _last_second = last = (whole, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)))
    return last[1]


class Lines(logging.Formatter):
    """Log records as JSON or text, one line each (JSON) with level, logger, message and request id."""

    def __init__(self, form: str = "json") -> None:
        super().__init__()
        self._json = form == "json"

    def format(self, record: logging.LogRecord) -> str:
        trace = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        fields = {"time": timestamp(record.created), "level": record.levelname.lower(), "logger": record.name,
                  "message": record.getMessage(), "request_id": request_id.get()}
        if self._json:
            return _encode(fields | ({"trace": trace} if trace else {}))
        line = f"{fields['time']} {fields['level'].upper()} {fields['logger']}: {_escape(fields['message'])}"
        of = f" [{fields['request_id']}]" if fields["request_id"] else ""
        return line + of + (f"\n{trace}" if trace else "")


def configure(form: str = "json", stream: Any = None) -> None:
    """Send warnings and errors of every logger to stderr in this form. Repeatable."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Lines(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    logging.raiseExceptions = False                                 # a closed stderr must not break a request
