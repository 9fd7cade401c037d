"""Access control lists: what each canned one grants, how headers and documents are read, what is stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.auth import acl
from shared.auth.acl import ALL_USERS, AUTHENTICATED_USERS, EVERYTHING, GRANT_HEADERS, LOG_DELIVERY, Acl, Grant
from shared.errors import AccessDenied, InvalidArgument, InvalidRequest, MalformedACLError, UnresolvableGrantByEmailAddress

OWNER, OTHER, BUCKET_OWNER = "0" * 63 + "1", "0" * 63 + "2", "0" * 63 + "3"
PEOPLE = {OWNER: "owner@example.com", OTHER: "other@example.com", BUCKET_OWNER: "bucket@example.com"}
NOTHING: frozenset[str] = frozenset()


def find(kind, value):
    if kind == "id":
        return value if value in PEOPLE else None
    return next((one for one, email in PEOPLE.items() if email == value.lower()), None)


def canned(name, bucket_owner=None):
    return acl.canned(name, OWNER, bucket_owner)


@pytest.mark.parametrize(
    ("name", "nobody", "signed"),
    [
        ("private", set(), set()),
        ("public-read", {"READ"}, {"READ"}),
        ("public-read-write", {"READ", "WRITE"}, {"READ", "WRITE"}),
        ("authenticated-read", set(), {"READ"}),
        ("aws-exec-read", set(), set()),
        ("log-delivery-write", set(), set()),
        ("bucket-owner-read", set(), set()),
        ("bucket-owner-full-control", set(), set()),
    ],
)
def test_a_canned_list_grants_what_its_name_says(name, nobody, signed):
    made = canned(name)
    assert acl.grants(made, None) == nobody
    assert acl.grants(made, OTHER) == signed
    assert acl.grants(made, OWNER) == EVERYTHING
    assert acl.is_public(made) == bool(signed)
    assert acl.grants(made, OTHER, public=False) == acl.grants(made, None, public=False) == NOTHING


@pytest.mark.parametrize(("name", "granted"), [("bucket-owner-read", {"READ"}), ("bucket-owner-full-control", EVERYTHING)])
def test_an_object_can_be_shared_with_the_bucket_s_owner(name, granted):
    assert acl.grants(canned(name, BUCKET_OWNER), BUCKET_OWNER) == granted
    assert acl.grants(canned(name, BUCKET_OWNER), OTHER) == NOTHING
    assert canned(name, OWNER) == acl.private(OWNER)      # his own bucket: no second grant


@pytest.mark.parametrize("name", ["", "Private", "public", "public-write", "private "])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(InvalidArgument):
        canned(name)


def test_log_delivery_is_for_buckets():
    assert {one.grantee for one in canned("log-delivery-write").grants} == {LOG_DELIVERY, OWNER}
    with pytest.raises(InvalidArgument):
        canned("log-delivery-write", BUCKET_OWNER)


def test_the_owner_keeps_the_list_itself():
    assert acl.grants(Acl(OWNER, ()), OWNER) == {"READ_ACP", "WRITE_ACP"}
    assert acl.grants(Acl(OWNER, ()), OTHER) == NOTHING
    assert acl.grants(Acl("", ()), None) == NOTHING


@pytest.mark.parametrize(
    ("text", "grantees"),
    [
        (f"id={OTHER}", [OTHER]),
        (f'id="{OTHER}"', [OTHER]),
        (f' id = "{OTHER}" , ID={OWNER}', [OTHER, OWNER]),
        ('emailAddress="Other@Example.com"', [OTHER]),
        (f'uri="{ALL_USERS}",emailaddress=owner@example.com', [ALL_USERS, OWNER]),
        (f"uri={LOG_DELIVERY}", [LOG_DELIVERY]),
    ],
)
def test_grant_headers_are_read(text, grantees):
    made = acl.from_headers({"x-amz-grant-read": text}, OWNER, None, find)
    assert made == Acl(OWNER, tuple(Grant(one, "READ") for one in grantees))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", InvalidArgument), ("id", InvalidArgument), ("id=", InvalidArgument), ("name=x", InvalidArgument), (OTHER, InvalidArgument),
        (f"id={OTHER} x", InvalidArgument), (f'id="{OTHER}', InvalidArgument), (f"id={OTHER};id={OWNER}", InvalidArgument),
        ("id=nobody", InvalidArgument),
        ("uri=http://acs.amazonaws.com/groups/global/Everyone", InvalidArgument), ("emailAddress=x@y", UnresolvableGrantByEmailAddress),
    ],
)
def test_grant_headers_that_say_nothing_are_refused(text, error):
    with pytest.raises(error):
        acl.from_headers({"x-amz-grant-write-acp": text}, OWNER, None, find)


def test_grants_of_several_headers_add_up_and_the_owner_gets_nothing_by_himself():
    made = acl.from_headers(dict.fromkeys(GRANT_HEADERS, f"id={OTHER}"), OWNER, None, find)
    assert [one.permission for one in made.grants] == ["READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"]
    assert "READ" not in acl.grants(made, OWNER)


def test_canned_and_grants_exclude_each_other():
    with pytest.raises(InvalidRequest):
        acl.from_headers({"x-amz-acl": "private", "x-amz-grant-read": f"id={OTHER}"}, OWNER, None, find)
    assert acl.from_headers({"x-amz-meta-acl": "private"}, OWNER, None, find) is None


def test_a_list_has_at_most_100_grants():
    people = [f"{number:064x}" for number in range(101)]
    asked = []

    def seek(kind, value):
        asked.append(value)
        return value

    def header(names):
        return {"x-amz-grant-read": ",".join(f"id={one}" for one in names)}

    assert len(acl.from_headers(header(people[:100]), OWNER, None, seek).grants) == 100
    with pytest.raises(MalformedACLError):
        acl.from_headers(header(people), OWNER, None, seek)
    with pytest.raises(MalformedACLError):
        acl.from_headers(header(people[:60]) | {"x-amz-grant-write": header(people[:60])["x-amz-grant-read"]}, OWNER, None, seek)
    asked.clear()
    with pytest.raises(MalformedACLError):
        acl.from_xml(document(*(grant(Type="CanonicalUser", ID=one) for one in people)), OWNER, seek)
    assert not asked        # nobody is looked up for a list that is too long


def document(*grants, owner=OWNER):
    return {"Owner": {"ID": owner}, "Grants": list(grants)}


def grant(permission="READ", **grantee):
    return {"Grantee": grantee, "Permission": permission}


def test_a_document_is_read():
    made = acl.from_xml(
        document(
            grant("FULL_CONTROL", Type="CanonicalUser", ID=OWNER), grant(Type="AmazonCustomerByEmail", EmailAddress="OTHER@example.com"),
            grant("WRITE", Type="Group", URI=AUTHENTICATED_USERS), grant(Type="CanonicalUser", ID=OTHER),
        ),
        OWNER, find,
    )
    assert made == Acl(OWNER, (Grant(OWNER, "FULL_CONTROL"), Grant(OTHER, "READ"), Grant(AUTHENTICATED_USERS, "WRITE")))


@pytest.mark.parametrize(
    ("given_document", "error"),
    [
        ({}, MalformedACLError),
        ({"Owner": {}, "Grants": []}, MalformedACLError),
        ({"Owner": {"ID": OWNER}}, MalformedACLError),
        (document(owner=OTHER), AccessDenied),
        (document({"Permission": "READ"}), MalformedACLError),
        (document({"Grantee": {"Type": "CanonicalUser", "ID": OTHER}}), MalformedACLError),
        (document(grant(Type="CanonicalUser")), MalformedACLError),
        (document(grant(ID=OTHER)), MalformedACLError),
        (document(grant(Type="CanonicalUser", URI=ALL_USERS)), MalformedACLError),
        (document(grant(Type="CanonicalUser", ID="nobody")), InvalidArgument),
        (document(grant(Type="Group", URI="http://example.com")), InvalidArgument),
        (document(grant(Type="AmazonCustomerByEmail", EmailAddress="x@y")), UnresolvableGrantByEmailAddress),
    ],
)
def test_a_document_that_is_no_list_is_refused(given_document, error):
    with pytest.raises(error):
        acl.from_xml(given_document, OWNER, find)


def test_groups_are_shown_first_and_people_with_names():
    shown = acl.to_xml(Acl(OWNER, (Grant(OWNER, "FULL_CONTROL"), Grant(ALL_USERS, "READ"))), PEOPLE.__getitem__)
    assert shown == {
        "Owner": {"ID": OWNER, "DisplayName": PEOPLE[OWNER]},
        "Grants": [
            {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"},
            {"Grantee": {"Type": "CanonicalUser", "ID": OWNER, "DisplayName": PEOPLE[OWNER]}, "Permission": "FULL_CONTROL"},
        ],
    }


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"x-amz-acl": "private"}, False), ({"x-amz-acl": "bucket-owner-full-control"}, True), ({"x-amz-acl": "bucket-owner-read"}, False),
        ({"x-amz-acl": "public-read"}, False), ({"x-amz-grant-full-control": f"id={BUCKET_OWNER}"}, True),
        ({"x-amz-grant-full-control": f"id={OWNER}"}, False), ({"x-amz-grant-read": f"id={BUCKET_OWNER}"}, False),
    ],
)
def test_what_says_no_more_than_that_the_bucket_is_its_owner_s(headers, accepted):
    assert acl.is_owners_alone(acl.from_headers(headers, OWNER, BUCKET_OWNER, find), BUCKET_OWNER) is accepted


def test_a_bucket_owner_s_private_object_is_the_bucket_owner_s():
    assert acl.is_owners_alone(acl.canned("private", BUCKET_OWNER, BUCKET_OWNER), BUCKET_OWNER)


GRANTEES = st.sampled_from([OWNER, OTHER, BUCKET_OWNER, ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY])
LISTS = st.builds(
    lambda given: Acl(OWNER, tuple(dict.fromkeys(given))),
    st.lists(st.builds(Grant, GRANTEES, st.sampled_from(sorted(EVERYTHING | {"FULL_CONTROL"}))), max_size=8),
)


@given(LISTS)
def test_any_list_comes_back_as_it_was_stored(made):
    assert acl.load(acl.dump(made), OWNER) == made


@given(LISTS)
def test_any_list_comes_back_as_it_was_shown(made):
    again = acl.from_xml(acl.to_xml(made, lambda one: ""), OWNER, find)
    assert set(again.grants) == set(made.grants)


@given(LISTS, GRANTEES, st.sampled_from([None, OWNER, OTHER, BUCKET_OWNER]))
def test_who_signs_may_do_at_least_what_nobody_may(made, _, who):
    assert acl.grants(made, who) >= acl.grants(made, None) >= acl.grants(made, None, public=False)
    assert acl.is_public(made) or acl.grants(made, None) == NOTHING
