"""The second factor: time-based codes (RFC 6238) as authenticator apps make them, and backup codes for who lost the app.

https://www.rfc-editor.org/rfc/rfc6238
"""

from __future__ import annotations

import hmac
import re
import secrets

import pyotp

STEP_S = 30
SKEW = 1                # steps a clock may be off, in either direction
BACKUP_CODES = 10
ISSUER = "MaxIOFS"

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def new_secret() -> str:
    """A secret of 160 bits in base 32, as apps take it."""
    return pyotp.random_base32(32)


def uri(secret: str, name: str) -> str:
    """The otpauth URI, which apps read from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def step_of(secret: str, code: str, now_ms: int) -> int | None:
    """The time step this code belongs to, at most SKEW from now; None for a wrong code.

    Who accepts it must remember the step, and never accept that one or an earlier one again (RFC 6238, section 5.2).
    """
    if not re.fullmatch("[0-9]{6}", code, re.ASCII):
        return None
    now = now_ms // 1000 // STEP_S
    otp = pyotp.TOTP(secret, interval=STEP_S)
    fits = [step for step in range(now - SKEW, now + SKEW + 1) if hmac.compare_digest(otp.generate_otp(step), code)]
    return fits[-1] if fits else None


def new_backup_codes() -> list[str]:
    """Ten codes of 40 random bits, like ``ABCD-EF23``."""
    texts = ["".join(secrets.choice(_BASE32) for _ in range(8)) for _ in range(BACKUP_CODES)]
    return [f"{text[:4]}-{text[4:]}" for text in texts]


def backup_code(text: str) -> str | None:
    """A backup code as it was shown, however it was typed: without its hyphen, in small letters. None for what is none."""
    plain = re.sub(r"[\s-]", "", text).upper()
    return f"{plain[:4]}-{plain[4:]}" if re.fullmatch("[A-Z2-7]{8}", plain, re.ASCII) else None
