"""Access control lists: who was granted what on a bucket or an object. Pure: people are canonical ids, resolved by the caller's ``find``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

from shared.errors import AccessDenied, InvalidArgument, InvalidRequest, MalformedACLError, UnresolvableGrantByEmailAddress

GROUPS: Final = "http://acs.amazonaws.com/groups/"
ALL_USERS: Final = GROUPS + "global/AllUsers"                               # anyone, also without a signature
AUTHENTICATED_USERS: Final = GROUPS + "global/AuthenticatedUsers"           # anyone who signed, of whichever tenant
LOG_DELIVERY: Final = GROUPS + "s3/LogDelivery"
PUBLIC_GROUPS: Final = frozenset({ALL_USERS, AUTHENTICATED_USERS})
KNOWN_GROUPS: Final = PUBLIC_GROUPS | {LOG_DELIVERY}

READ, WRITE, READ_ACP, WRITE_ACP, FULL_CONTROL = "READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"
EVERYTHING: Final = frozenset({READ, WRITE, READ_ACP, WRITE_ACP})
OWNERS_ALWAYS: Final = frozenset({READ_ACP, WRITE_ACP})     # so that nobody can lock himself out for good

MAX_GRANTS: Final = 100
CANNED_HEADER: Final = "x-amz-acl"
GRANT_HEADERS: Final = {    # in the order in which their grants are stored
    "x-amz-grant-read": READ, "x-amz-grant-write": WRITE, "x-amz-grant-read-acp": READ_ACP, "x-amz-grant-write-acp": WRITE_ACP,
    "x-amz-grant-full-control": FULL_CONTROL,
}

Find = Callable[[Literal["id", "email"], str], str | None]
"""The canonical id of whom a canonical id or an email address (any case) names; None when nobody has it."""

_GRANTEE = re.compile(r'\s*(id|emailAddress|uri)\s*=\s*(?:"([^"]*)"|([^",\s]+))\s*(?:,|$)', re.IGNORECASE)


class Grant(NamedTuple):
    """One grant. ``grantee`` is a canonical id or the URI of a group, ``permission`` READ, WRITE, READ_ACP, WRITE_ACP or FULL_CONTROL."""

    grantee: str
    permission: str

    @property
    def is_group(self) -> bool:
        """True when the grantee is a group and not somebody."""
        return self.grantee.startswith(GROUPS)


class Acl(NamedTuple):
    """The list of a bucket or an object; ``owner`` is its owner's canonical id."""

    owner: str
    grants: tuple[Grant, ...]


# ---- asking -----------------------------------------------------------------------------------------------------------------


def grants(acl: Acl, who: str | None, *, public: bool = True) -> frozenset[str]:
    """What somebody (a canonical id; None: an unsigned request) may do by this list: READ, WRITE, READ_ACP, WRITE_ACP.

    FULL_CONTROL comes out as all four. The owner may always read and write the list itself. ``public`` False leaves out what groups were
    granted: IgnorePublicAcls.
    """
    names = {who, ALL_USERS, AUTHENTICATED_USERS} if public else {who}
    if who is None:
        names -= {None, AUTHENTICATED_USERS}
    out = set(OWNERS_ALWAYS) if who is not None and who == acl.owner else set()
    for grantee, permission in acl.grants:
        if grantee in names:
            out |= EVERYTHING if permission == FULL_CONTROL else {permission}
    return frozenset(out)


def is_public(acl: Acl) -> bool:
    """Whether anything is granted to everybody, or to everybody who signs."""
    return any(grant.grantee in PUBLIC_GROUPS for grant in acl.grants)


def is_owners_alone(acl: Acl, bucket_owner: str) -> bool:
    """Whether the list says no more than that the bucket's owner controls it: all that a bucket with ACLs switched off accepts."""
    return frozenset(acl.grants) == {Grant(bucket_owner, FULL_CONTROL)} or (
        acl.owner != bucket_owner and frozenset(acl.grants) == {Grant(acl.owner, FULL_CONTROL), Grant(bucket_owner, FULL_CONTROL)}
    )


# ---- making -----------------------------------------------------------------------------------------------------------------


def private(owner: str) -> Acl:
    """The list of what was made without saying anything: its owner has full control."""
    return Acl(owner, (Grant(owner, FULL_CONTROL),))


_PUBLIC_READ = (Grant(ALL_USERS, READ),)
_CANNED: Final[dict[str, tuple[Grant, ...]]] = {
    "private": (),
    "public-read": _PUBLIC_READ,
    "public-read-write": (*_PUBLIC_READ, Grant(ALL_USERS, WRITE)),
    "authenticated-read": (Grant(AUTHENTICATED_USERS, READ),),
    "aws-exec-read": (),        # grants something to EC2, which is nobody here
    "log-delivery-write": (Grant(LOG_DELIVERY, WRITE), Grant(LOG_DELIVERY, READ_ACP)),
}
_TO_BUCKET_OWNER: Final = {"bucket-owner-read": READ, "bucket-owner-full-control": FULL_CONTROL}


def canned(name: str, owner: str, bucket_owner: str | None = None) -> Acl:
    """The list with this name. ``bucket_owner`` is that of an object's bucket; None for a bucket's own list, where the names that are about
    its owner say nothing more than ``private``.

    Raises InvalidArgument.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl
    """
    mine = Grant(owner, FULL_CONTROL)
    if name in _TO_BUCKET_OWNER:
        shared = bucket_owner is not None and bucket_owner != owner
        return Acl(owner, (mine, Grant(str(bucket_owner), _TO_BUCKET_OWNER[name])) if shared else (mine,))
    if name not in _CANNED or (name == "log-delivery-write" and bucket_owner is not None):
        raise InvalidArgument(ArgumentName=CANNED_HEADER, ArgumentValue=name)
    return Acl(owner, (*_CANNED[name], mine))


def named(headers: Mapping[str, str]) -> bool:
    """Whether a request says anything about an ACL in its headers (lower-case names)."""
    return CANNED_HEADER in headers or any(name in headers for name in GRANT_HEADERS)


def from_headers(headers: Mapping[str, str], owner: str, bucket_owner: str | None, find: Find) -> Acl | None:
    """The list that x-amz-acl or the x-amz-grant-… headers ask for; None when there are none. Grants give the owner nothing by themselves.

    Raises InvalidRequest (both kinds), InvalidArgument, UnresolvableGrantByEmailAddress.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html
    """
    asked = [(name, permission) for name, permission in GRANT_HEADERS.items() if name in headers]
    if CANNED_HEADER in headers:
        if asked:
            raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
        return canned(headers[CANNED_HEADER], owner, bucket_owner)
    if not asked:
        return None
    return _made(owner, [Grant(who, permission) for name, permission in asked for who in _grantees(name, headers[name], find)])


def _grantees(header: str, text: str, find: Find) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(text):
        found = _GRANTEE.match(text, at)
        if found is None:
            raise InvalidArgument("Argument format not recognized", ArgumentName=header, ArgumentValue=text)
        if len(out) == MAX_GRANTS:
            raise _too_many()
        kind, value, at = found[1].lower(), found[2] if found[2] is not None else found[3], found.end()
        out.append({"id": _somebody, "emailaddress": _by_email, "uri": _group}[kind](value, find))
    if not out:
        raise InvalidArgument("Argument format not recognized", ArgumentName=header, ArgumentValue=text)
    return out


def _somebody(canonical_id: str, find: Find) -> str:
    if (found := find("id", canonical_id)) is None:
        raise InvalidArgument("Invalid id", ArgumentName="CanonicalUser/ID", ArgumentValue=canonical_id)
    return found


def _by_email(email: str, find: Find) -> str:
    if (found := find("email", email)) is None:
        raise UnresolvableGrantByEmailAddress(Email=email)
    return found


def _group(uri: str, _: Find) -> str:
    if uri not in KNOWN_GROUPS:
        raise InvalidArgument("Invalid group uri", ArgumentName="Group/URI", ArgumentValue=uri)
    return uri


def _made(owner: str, given: list[Grant]) -> Acl:
    grants_once = tuple(dict.fromkeys(given))
    if len(grants_once) > MAX_GRANTS:
        raise _too_many()
    return Acl(owner, grants_once)


def _too_many() -> MalformedACLError:
    return MalformedACLError(f"An ACL has at most {MAX_GRANTS} grants.")


# ---- as XML and as stored ---------------------------------------------------------------------------------------------------

_TYPES: Final[dict[str, tuple[str, Callable[[str, Find], str]]]] = {
    "CanonicalUser": ("ID", _somebody), "AmazonCustomerByEmail": ("EmailAddress", _by_email), "Group": ("URI", _group),
}


def from_xml(policy: Mapping[str, Any], owner: str, find: Find) -> Acl:
    """The list in the AccessControlPolicy member of a request. The owner named there must be the one there is.

    Raises MalformedACLError, AccessDenied (another owner), InvalidArgument, UnresolvableGrantByEmailAddress.
    """
    named_owner = (policy.get("Owner") or {}).get("ID")
    if not named_owner or "Grants" not in policy:
        raise MalformedACLError()
    if named_owner != owner:
        raise AccessDenied()
    if len(policy["Grants"]) > MAX_GRANTS:      # before anybody is looked up
        raise _too_many()
    given: list[Grant] = []
    for one in policy["Grants"]:
        grantee, permission = one.get("Grantee") or {}, one.get("Permission")
        member, resolve = _TYPES.get(grantee.get("Type", ""), ("", _somebody))
        if not permission or not grantee.get(member):
            raise MalformedACLError()
        given.append(Grant(resolve(grantee[member], find), permission))
    return _made(owner, given)


def to_xml(acl: Acl, display_name: Callable[[str], str]) -> dict[str, Any]:
    """The list as GetBucketAcl and GetObjectAcl show it: ``Owner`` and ``Grants``, groups first."""
    shown = [
        {"Grantee": _shown(grant, display_name), "Permission": grant.permission}
        for grant in sorted(acl.grants, key=lambda grant: not grant.is_group)
    ]
    return {"Owner": _person(acl.owner, display_name), "Grants": shown}


def _shown(grant: Grant, display_name: Callable[[str], str]) -> dict[str, str]:
    if grant.is_group:
        return {"Type": "Group", "URI": grant.grantee}
    return {"Type": "CanonicalUser", **_person(grant.grantee, display_name)}


def _person(canonical_id: str, display_name: Callable[[str], str]) -> dict[str, str]:
    return {"ID": canonical_id, "DisplayName": display_name(canonical_id)}


def dump(acl: Acl) -> str | None:
    """What the ``acl`` columns hold: grants as JSON, None for the private list. The owner has a column of his own."""
    if acl == private(acl.owner):
        return None
    return json.dumps(acl.grants, separators=(",", ":"))


def load(stored: str | None, owner: str) -> Acl:
    """The way back; ``owner`` is the canonical id of the row's owner."""
    if stored is None:
        return private(owner)
    return Acl(owner, tuple(Grant(*one) for one in json.loads(stored)))
