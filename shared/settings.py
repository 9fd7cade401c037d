"""Every setting of the server, in one table: name, default, unit, help; flag > environment > file > default."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent     # the folder of README.md
PREFIX = "MAXIOFS_"
FILE_NAME = "maxiofs.toml"                        # looked for in the data dir, unless `config` names another
MASK = "********"

# MinIO's variables that mean the same, in order: a later one wins. https://github.com/minio/minio/blob/master/docs/config/README.md
MINIO = {
    "MINIO_ACCESS_KEY": "root_access_key", "MINIO_SECRET_KEY": "root_secret_key", "MINIO_ROOT_USER_FILE": "root_access_key",
    "MINIO_ROOT_PASSWORD_FILE": "root_secret_key", "MINIO_ROOT_USER": "root_access_key", "MINIO_ROOT_PASSWORD": "root_secret_key",
    "MINIO_REGION": "region", "MINIO_SITE_REGION": "region", "MINIO_DOMAIN": "domain", "MINIO_SERVER_URL": "public_url",
    "MINIO_BROWSER_REDIRECT_URL": "console_public_url",
}

# What Kubernetes puts into every container beside a service named "maxiofs" or "maxiofs-something".
_KUBERNETES = re.compile(r"MAXIOFS_(PORT$|PORT_|SERVICE_)")
_KUBERNETES_NEIGHBOUR = re.compile(r"MAXIOFS_\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$")
_KUBERNETES_PORT_VALUE = re.compile(r"(tcp|udp|sctp)://")
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*", re.I)


class SettingsError(ValueError):
    """One or more settings can't be used; ``problems`` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Address(NamedTuple):
    """Where to listen. Port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """How a program on this machine reaches the address."""
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{Address(reachable, self.port)}"


# --- kinds: text (or a TOML value) → the value; each raises ValueError with half a sentence -----------------------------


def address(value: str) -> Address:
    """``host:port``, ``[::1]:port``, or ``:port`` for every IPv4 interface."""
    host, colon, port = value.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("must be host:port, for example 127.0.0.1:8080 or [::1]:8080, with a port from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        try:
            return Address(str(ipaddress.IPv6Address(host[1:-1])), int(port))
        except ValueError:
            raise ValueError(f"{host} is not an IPv6 address") from None
    if ":" in host:
        raise ValueError("an IPv6 address needs brackets: [::1]:8080")
    if host and not _HOST_NAME.fullmatch(host):
        raise ValueError(f"{host!r} is not a host name or an IP address")
    return Address(host or "0.0.0.0", int(port))


def url(value: str) -> str:
    """``http(s)://host[:port][/prefix]``; a trailing slash is dropped."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("must be http:// or https://, a host, and perhaps a port and a path prefix")
    _ = parts.port              # raises ValueError when it is not a port
    return value.rstrip("/")


def store_url(*schemes: str) -> Callable[[str], str]:
    """A URL with one of these schemes."""
    def parse(value: str) -> str:
        if urlsplit(value).scheme not in schemes:
            raise ValueError("must begin with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return value
    return parse


def text(pattern: str, wanted: str) -> Callable[[str], str]:
    """Text that matches the whole pattern; ``wanted`` completes the sentence "must …"."""
    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must {wanted}")
        return value
    return parse


def number(least: int, most: int, units: Mapping[str, int] | None = None) -> Callable[[Any], int]:
    """A whole number, perhaps with a unit, within bounds (both included)."""
    units = units or {}

    def parse(value: Any) -> int:
        found = re.fullmatch(r"(\d{1,18})\s*([a-z]*)", str(value).strip(), re.I)
        factor = {"": 1, **units}.get(found[2].lower()) if found else None
        if isinstance(value, bool) or found is None or factor is None:
            raise ValueError("must be a whole number" + (f", with or without a unit ({', '.join(units)})" if units else ""))
        if not least <= int(found[1]) * factor <= most:
            raise ValueError(f"must be from {least} to {most}")
        return int(found[1]) * factor
    return parse


def switch(value: Any) -> bool:
    """True or false, in any of the usual words."""
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if str(value).lower() not in known:
        raise ValueError("must be true or false")
    return known[str(value).lower()]


def folder(value: str) -> Path:
    """A path; ``~`` and the working directory are resolved here, once."""
    return Path(value).expanduser().absolute()


def listing(item: Callable[[str], str]) -> Callable[[Any], list[str]]:
    """A TOML array, or text with commas between the items."""
    def parse(value: Any) -> list[str]:
        words = value if isinstance(value, list) else str(value).split(",")
        return [item(str(word).strip()) for word in words if str(word).strip()]
    return parse


def network(value: str) -> str:
    """An IP address or a CIDR block, in its canonical form."""
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError(f"{value!r} is neither an IP address nor a network such as 10.0.0.0/8") from None


def domain_name(value: str) -> str:
    """A DNS name, lower case, without a port."""
    if not _HOST_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a domain name such as s3.example.com")
    return value.lower()


def available_cores() -> int:
    """Cores this process may use: its affinity, and the CPU quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, -(-int(quota) // int(period)))
    except (OSError, ValueError):           # no cgroup v2, or "max": no quota
        pass
    return max(1, cores)


BYTES = {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


# --- the table -------------------------------------------------------------------------------------------------------------


class Setting(NamedTuple):
    """One row of the table. ``secret``: masked, and never a flag (flags show in ps). ``readable``: also ``<env>_FILE``."""

    name: str
    env: str
    default: Any
    kind: Callable[[Any], Any]
    help: str
    secret: bool
    readable: bool

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    def shown(self, value: Any) -> str:
        """The value as text for people; secrets, and passwords inside URLs, are masked."""
        if self.secret:
            return MASK if value else ""
        if isinstance(value, list):
            return ", ".join(value)
        if isinstance(value, bool):
            return str(value).lower()
        without_password = re.sub(r"(?<=://)([^/@:]*):.*@", rf"\1:{MASK}@", "" if value is None else str(value))
        return re.sub(r"([?&]password=)[^&]*", rf"\1{MASK}", without_password)


def _row(default: Any, kind: Callable[[Any], Any], about: str, *, secret: bool = False, readable: bool = False) -> Any:
    return field(metadata={"default": default, "kind": kind, "help": about, "secret": secret, "readable": readable or secret})


ACCESS_KEY = text(r"[A-Za-z0-9._-]{3,128}", "be 3 to 128 letters, digits, dots, hyphens or underscores")
SECRET_KEY = text(r"[\x21-\x7e]{8,128}", "be 8 to 128 printable ASCII characters without blanks")


@dataclass(frozen=True, repr=False)     # no repr: it would put secrets into tracebacks and logs
class Settings:
    """The settings in force. ``sources`` says where each came from: flag, environment, file or default."""

    data_dir: Path = _row(ROOT / "data", folder, "folder of everything that is kept (default: data, beside README.md)")
    config: Path | None = _row(None, folder, "settings file (default: maxiofs.toml in the data dir, when there is one)")
    listen: Address = _row("127.0.0.1:8080", address, "host:port of the S3 API; port 0 takes a free one")
    console_listen: Address = _row("127.0.0.1:8081", address, "host:port of the console and its API")
    root_access_key: str = _row("", ACCESS_KEY, "access key of root; generated at first start when unset", readable=True)
    root_secret_key: str = _row("", SECRET_KEY, "secret key of root", secret=True)
    database_url: str = _row("", store_url("sqlite", "postgresql", "postgres"),
                             "metadata: postgresql://…, or sqlite:///path (default: a file in the data dir)", readable=True)
    queue_url: str = _row("", store_url("sqlite", "redis", "rediss", "postgresql", "postgres"),
                          "queue: redis://…, postgresql://…, or sqlite:///path (default: a file in the data dir)", readable=True)
    region: str = _row("us-east-1", text(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "be lower-case letters, digits and hyphens"),
                       "region that signatures are made for")
    domain: list[str] = _row("", listing(domain_name), "domains whose sub-domains are buckets, with commas between them")
    website_domain: list[str] = _row("", listing(domain_name), "domains whose sub-domains are buckets shown as websites")
    processes: int = _row(available_cores, number(1, 256), "server processes of the S3 API (default: one for each core)")
    public_url: str = _row("", url, "URL of the S3 API as clients see it; links and presigned URLs are built on it")
    console_public_url: str = _row("", url, "URL of the console as browsers see it")
    trusted_proxies: list[str] = _row("", listing(network), "addresses and networks whose X-Forwarded-* headers are believed")
    log_format: str = _row("json", text("json|text", "be json or text"), "form of log lines: json or text")
    presigned_v2: bool = _row(True, switch, "accept presigned URLs and forms with signature version 2 (boto3 makes them by default)")
    header_v2: bool = _row(False, switch, "accept requests with signature version 2 in their header, as clients from before 2014 send them")
    inline_bytes: int = _row(16 << 10, number(0, 1 << 20, BYTES), "objects up to this many bytes live in the database")
    reserve_bytes: int = _row(256 << 20, number(0, 1 << 60, BYTES), "free bytes on the data disk below which writes are refused")
    threads_fast: int = _row(2, number(1, 64), "threads of each process for reads")
    threads_write: int = _row(8, number(1, 256), "threads of each process for short writes, which share commits")
    threads_slow: int = _row(16, number(1, 256), "threads of each process for long requests")
    sweep_delay_s: int = _row(3600, number(0, 365 * 86400, SECONDS), "seconds before bytes that nothing refers to are deleted")
    upload_expiry_s: int = _row(7 * 86400, number(60, 3650 * 86400, SECONDS), "seconds before an unfinished upload is removed")
    drain_timeout_s: int = _row(30, number(0, 3600, SECONDS), "seconds that requests get to finish when the server stops")
    metrics_token: str = _row("", SECRET_KEY, "bearer token that /metrics asks for", secret=True)
    master_key: str = _row("", text(r"[0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=", "be 32 bytes as 64 hexadecimal digits or as base64"),
                           "key that seals secrets at rest (default: a file in the data dir)", secret=True)
    bootstrap: Path | None = _row(None, folder, "file or folder (YAML, TOML, JSON) of what is to be there: applied at each start")
    sources: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """Every setting as name, env, value (masked), source and help: what `maxiofs settings` shows."""
        return [{"name": row.name, "env": row.env, "value": row.shown(getattr(self, row.name)),
                 "source": self.sources.get(row.name, "default"), "help": row.help} for row in SETTINGS]

    @property
    def s3_url(self) -> str:
        """The S3 API as clients see it."""
        return self.public_url or self.listen.url

    @property
    def console_url(self) -> str:
        """The console as browsers see it."""
        return self.console_public_url or self.console_listen.url


SETTINGS = tuple(Setting(f.name, PREFIX + f.name.upper(), **f.metadata) for f in fields(Settings) if f.metadata)
BY_NAME = {row.name: row for row in SETTINGS}
BY_ENV = {row.env: row for row in SETTINGS} | {row.env + "_FILE": row for row in SETTINGS if row.readable}


def load(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None,
         file: Path | None = None) -> Settings:
    """Settle every setting. ``flags`` has setting names as keys; None and "" in it, and in ``environ``, mean "not given".

    ``file`` overrides the setting `config`; a file that is named must exist, ``maxiofs.toml`` in the data dir need not.
    Raises SettingsError with every problem found, each naming the flag, variable or file line it is about.
    """
    problems: list[str] = []
    early = _from_environ(os.environ if environ is None else environ, problems) | _from_flags(flags or {})
    named = file.absolute() if file else folder(str(early["config"][0])) if "config" in early else None
    data_dir = folder(str(early["data_dir"][0])) if "data_dir" in early else ROOT / "data"
    raw = _from_file(named or data_dir / FILE_NAME, problems, required=named is not None) | early
    values: dict[str, Any] = {}
    for row in SETTINGS:
        default = row.default() if callable(row.default) else row.default
        value, label = raw.get(row.name, (default, ""))
        values[row.name] = _parse(row, value, label, problems) if label or value else _empty(row)
    sources = {name: _source(label) for name, (_, label) in raw.items()}
    if not problems:
        _check_together(values, problems)
    if problems:
        raise SettingsError(problems)
    if named is not None:
        values["config"] = named
    return Settings(**values, sources=sources)


Found = dict[str, tuple[Any, str]]      # setting name → (raw value, what to call the place it came from)


def _parse(row: Setting, value: Any, label: str, problems: list[str]) -> Any:
    try:
        if isinstance(value, (dict, float)) or (isinstance(value, list) and not isinstance(_empty(row), list)):
            raise ValueError("must be one plain value")
        return row.kind(value if isinstance(value, (list, bool)) else str(value).strip())
    except ValueError as error:
        shown = "" if row.secret else f" = {row.shown(value)!r}"
        problems.append(f"{label}{shown}: {error}")
        return None


def _empty(row: Setting) -> Any:
    """What "nothing given and no default" is for this kind of setting."""
    return {"domain": [], "trusted_proxies": [], "config": None, "bootstrap": None}.get(row.name, "")


def _source(label: str) -> str:
    if label.startswith("MINIO_"):
        return f"environment ({label})"
    return "flag" if label.startswith("--") else "environment" if label.startswith(PREFIX) else "file"


def _nearest(name: str, known: Mapping[str, Setting]) -> str:
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


def _from_flags(flags: Mapping[str, Any]) -> Found:
    return {name: (value, BY_NAME[name].flag) for name, value in flags.items() if value is not None and value != ""}


def _from_environ(environ: Mapping[str, str], problems: list[str]) -> Found:
    found: Found = _from_minio(environ, problems)
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX) or _of_kubernetes(name, value):
            continue
        if name not in BY_ENV:
            problems.append(f"{name}: there is no such setting; did you mean {_nearest(name, BY_ENV)}?")
        elif value and name == BY_ENV[name].env:
            found[BY_ENV[name].name] = (value, name)
        elif value:
            row = BY_ENV[name]
            if environ.get(row.env):
                problems.append(f"{name}: {row.env} is set too; set one of them")
            found[row.name] = (_read_secret(name, Path(value), problems), name)
    return found


def _from_minio(environ: Mapping[str, str], problems: list[str]) -> Found:
    """What MinIO's variables say, for those who come from there. Our own variables win; which were used is logged at start."""
    found: Found = {}
    for name, setting in MINIO.items():
        value = environ.get(name, "")
        if value and not environ.get(BY_NAME[setting].env) and not environ.get(BY_NAME[setting].env + "_FILE"):
            found[setting] = (_read_secret(name, Path(value), problems) if name.endswith("_FILE") else value, name)
    return found


def _of_kubernetes(name: str, value: str) -> bool:
    if name in BY_ENV:
        return False
    return bool(_KUBERNETES.match(name) or _KUBERNETES_NEIGHBOUR.match(name)
                or (name.endswith("_PORT") and _KUBERNETES_PORT_VALUE.match(value)))


def _read_secret(name: str, path: Path, problems: list[str]) -> str:
    try:
        value = path.read_text("utf-8").strip()
        if not value:
            problems.append(f"{name}: {path} is empty")
        return value
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{name}: cannot read {path}: {getattr(error, 'strerror', None) or 'not text'}")
        return ""


def _from_file(path: Path, problems: list[str], *, required: bool) -> Found:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        if required:
            problems.append(f"{path}: {error.strerror}")
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{path}: cannot be read: {error}")
        return {}
    allowed = {name: row for name, row in BY_NAME.items() if name != "config" and (required or name != "data_dir")}
    for name in table.keys() - allowed.keys():
        if name in BY_NAME:
            problems.append(f"{path}: {name} cannot be set here")
        else:
            problems.append(f"{path}: there is no setting {name}; did you mean {_nearest(name, allowed)}?")
    return {name: (value, f"{path}: {name}") for name, value in table.items() if name in allowed and value != ""}


def _check_together(values: Mapping[str, Any], problems: list[str]) -> None:
    if bool(values["root_access_key"]) != bool(values["root_secret_key"]):
        problems.append("MAXIOFS_ROOT_ACCESS_KEY and MAXIOFS_ROOT_SECRET_KEY go together: set both or neither")
    if values["listen"] == values["console_listen"] and values["listen"].port:
        problems.append(f"MAXIOFS_LISTEN and MAXIOFS_CONSOLE_LISTEN are both {values['listen']}: they need two addresses")


def version() -> str:
    """The version of this server, from pyproject.toml."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])
