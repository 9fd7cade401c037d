"""What `up` prints once it is ready: where it is, and, the first time, who may come in."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from shared.settings import Address, version

if TYPE_CHECKING:
    from scripts.cli.command import Context


class Credentials(NamedTuple):
    """An access key and its secret, to be shown once."""

    access_key: str
    secret_key: str

    def text(self) -> str:
        """For people."""
        return f"Root credentials, shown only this once:\n\n  Access key  {self.access_key}\n  Secret key  {self.secret_key}\n"


def show_new_root(context: Context, made: Credentials) -> None:
    """Tell of credentials that a command made on the way, because it was the first on this data folder. stdout is for its result."""
    text = json.dumps({"event": "root", **made._asdict()}) if context.as_json else made.text()
    with contextlib.suppress(OSError):
        print(text, flush=True, file=sys.stderr)


class Banner:
    """Prints to stdout; a closed stdout is no reason not to serve."""

    def __init__(self, context: Context, addresses: Mapping[str, Address], credentials: Credentials | None) -> None:
        self._context = context
        self._unseen = credentials
        settings = context.settings
        self._facts = {
            "version": version(),
            "s3_url": settings.public_url or addresses["s3"].url,
            "console_url": settings.console_public_url or addresses["console"].url,
            "data_dir": str(settings.data_dir),
        }
        self._local_url = addresses["s3"].url

    def show(self) -> None:
        """Say that the server is ready, with the credentials if they are new."""
        if self._context.as_json:
            self._print(json.dumps({"event": "ready", **self._facts, **(self._unseen._asdict() if self._unseen else {})}))
        else:
            self._print("\n".join(["", f"MaxIOFS {self._facts['version']} is ready", "",
                                   f"  S3       {self._facts['s3_url']}", f"  Console  {self._facts['console_url']}",
                                   f"  Data     {self._facts['data_dir']}", "", *self._credential_lines()]))
        self._unseen = None

    def show_credentials_if_unseen(self) -> None:
        """When the server never became ready: new credentials must not get lost."""
        if self._unseen and not self._context.as_json:
            self._print("\n".join(self._credential_lines()))
        elif self._unseen:
            self._print(json.dumps({"event": "root", **self._unseen._asdict()}))
        self._unseen = None

    def _credential_lines(self) -> list[str]:
        if not self._unseen:
            return []
        region = self._context.settings.region
        keys = f"AWS_ACCESS_KEY_ID={self._unseen.access_key} AWS_SECRET_ACCESS_KEY={shlex.quote(self._unseen.secret_key)}"
        return [self._unseen.text(), "Try them:", "",
                f"  {keys} AWS_DEFAULT_REGION={region} aws --endpoint-url {self._local_url} s3 mb s3://first", "",
                "Lost them? `./scripts/maxiofs root reset` makes new ones.", ""]

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError):
            print(text, flush=True, file=sys.stdout)
