"""Copies between kinds of encryption: data keys get new envelopes and no byte moves, unless the source was never encrypted."""

from __future__ import annotations

from typing import NamedTuple

from shared.encryption.envelope import Envelope, Wrapped, load
from shared.encryption.ring import Ring
from shared.meta import content, objects
from shared.meta.content import Located, Rewrapped
from shared.meta.objects import Found, NewVersion
from shared.protocol.sse import CustomerKey


class Transfer(NamedTuple):
    """How the source of a copy was encrypted, and how its copy is to be."""

    source: Envelope
    target: Envelope

    @property
    def keeps_envelopes(self) -> bool:
        """Whether what is encrypted can be shared with the envelopes it has."""
        return self.target.opens_those_of(self.source)


def transfer(ring: Ring, found: Found, customer: CustomerKey | None, target: Envelope | None) -> Transfer:
    """``customer`` is the key of the source, ``target`` None for a copy that nobody asked to be encrypted."""
    return Transfer(Envelope(ring, load(found.sse_json), customer), target or Envelope(ring, None))


def share(found: Found, new: NewVersion, moved: Transfer) -> bool:
    """Give the new version the source's bytes, with envelopes of its own. False when some were never encrypted and have to be.

    Raises SourceGone when the source's parts are gone.
    """
    must_encrypt = moved.target.sse is not None
    if found.blob_id is not None:
        if found.algorithm is None and must_encrypt:
            return False
        new.shared_blob = found.blob_id
        if found.algorithm is not None:
            new.wrapped_key, new.key_version = rewrapped(moved, found.blob_id, found.wrapped_key, found.key_version)
    elif found.body_id is not None:
        if (must_encrypt or moved.source.sse is not None) and not _segments(found, found.body_id, new, moved, must_encrypt):
            return False
        new.shared_body, new.parts_count = found.body_id, found.parts_count
    return True


def _segments(found: Found, body_id: bytes, new: NewVersion, moved: Transfer, must_encrypt: bool) -> bool:
    keys = content.segment_keys(body_id)
    if not keys and found.size:     # one without bytes has none
        raise objects.SourceGone
    if must_encrypt and any(key.algorithm is None for key in keys):
        return False
    new.rewrapped = [       # all of them: meanwhile those of the source may become those of another kind of encryption
        Rewrapped(key.part_number, key.position, *rewrapped(moved, key.blob_id, key.wrapped_key, key.key_version))
        for key in keys if key.algorithm is not None
    ]
    return True


def stretches(found: list[Located], moved: Transfer) -> list[Located] | None:
    """The stretches of a part that is copied, with envelopes of its own; None when some were never encrypted and have to be."""
    if moved.target.sse is not None and any(one.algorithm is None for one in found):
        return None
    return [one if one.algorithm is None else _rewrapped(one, moved) for one in found]


def _rewrapped(one: Located, moved: Transfer) -> Located:
    key, version = rewrapped(moved, one.blob_id, one.wrapped_key, one.key_version)
    return one._replace(wrapped_key=key, key_version=version)


def rewrapped(moved: Transfer, blob_id: bytes, wrapped: bytes | None, version: int | None) -> Wrapped:
    """The envelope for the copy: the same where it serves. It is opened in any case: what does not open is not copied."""
    data_key = moved.source.unwrap(blob_id, wrapped, version)
    if moved.keeps_envelopes and wrapped is not None:
        return Wrapped(wrapped, version)
    return moved.target.wrap(blob_id, data_key)
