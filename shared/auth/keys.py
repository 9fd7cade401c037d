"""New key pairs: an access key that looks like Amazon's, a secret that survives copy and paste."""

from __future__ import annotations

import secrets
import string

# Amazon's alphabet for identifiers (base 32); secrets leave out + and /, which many tools fail to escape.
_ID = string.ascii_uppercase + "234567"
_SECRET = string.ascii_letters + string.digits


def new_access_key() -> str:
    """Make an access key id: ``AKIA`` and 16 random characters (80 bits)."""
    return "AKIA" + "".join(secrets.choice(_ID) for _ in range(16))


def new_secret() -> str:
    """Make a secret access key: 40 random letters and digits (238 bits)."""
    return "".join(secrets.choice(_SECRET) for _ in range(40))
