"""What people see who follow a share link: a form for its password, or why there is nothing. No scripts, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from shared.admin.errors import ShownAsPage, TooManyRequests

STYLE = """
:root { color-scheme: light dark }
body { margin: 15vh auto; max-width: 24rem; padding: 0 1.5rem; font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.3rem; overflow-wrap: anywhere } label { display: block }
input, button { box-sizing: border-box; width: 100%; margin: .3rem 0 .8rem; padding: .5rem; font: inherit }
[role=alert] { color: #dc2626 }
"""
# No form-action: after the password the form's answer leads to the S3 listener, which is another origin.
POLICY = (
    "default-src 'none'; style-src 'sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'; frame-ancestors 'none'; base-uri 'none'"
)


def password_form(name: str, fault: str = "") -> str:
    """The form that asks for the password of a link to a file of that name. It sends to the address it was got from."""
    alert = f'<p role="alert">{escape(fault)}</p>' if fault else ""
    return _page(name, (
        f'<h1>{escape(name)}</h1>{alert}<form method="post"><label for="password">This link asks for a password.</label>'
        '<input id="password" name="password" type="password" autocomplete="off" required autofocus>'
        '<button type="submit">Download</button></form>'
    ))


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>'
    )


class NoSuchShare(ShownAsPage):
    """One answer whatever the reason is: withdrawn, expired, used up, or its maker may no longer read what it leads to."""

    status, message, policy = 404, "This link does not work, or no longer.", POLICY
    page = _page("No such link", f"<h1>{message}</h1><p>Please ask whoever sent it for a new one.</p>")


class WrongSharePassword(ShownAsPage):
    """The form again."""

    status, message, policy = 403, "The password is wrong.", POLICY

    def __init__(self, name: str) -> None:
        super().__init__()
        self.page = password_form(name, self.message)


class TooManySharePasswords(ShownAsPage, TooManyRequests):
    """``wait_s`` says after how many seconds it is worth trying again."""

    code_name, policy = "TooManyRequests", POLICY

    def __init__(self, wait_s: int) -> None:
        super().__init__()
        self.headers["Retry-After"] = str(wait_s)
        self.page = _page("Please wait", f"<h1>{escape(self.message)}</h1><p>Try again in {wait_s} seconds.</p>")
