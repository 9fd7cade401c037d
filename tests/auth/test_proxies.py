"""Reverse proxies: what the client signed is found behind trusted ones, and nobody else's word counts."""

from __future__ import annotations

import pytest
from signed_requests import changed, judge, signed, with_header

from shared.auth.proxies import TrustedProxies
from shared.errors import SignatureDoesNotMatch
from shared.request import Request

TRUSTED = TrustedProxies(["10.0.0.0/8", "fd00::/8"])
DOMAINS = ["s3.test"]


def behind(request, peer="10.0.0.1", **headers):
    """The request as a proxy hands it on; header names with underscores for hyphens."""
    for name, value in headers.items():
        request = with_header(request, name.replace("_", "-"), value)
    return changed(request, peer=peer)


# (what the client addressed, what the proxy makes of it)
MATRIX = [
    ("https://files.test", {}),
    ("https://files.test", {"Host": "files.test:443"}),
    ("http://files.test", {"Host": "files.test:80"}),
    ("https://files.test:8443", {"Host": "files.test", "X_Forwarded_Port": "8443"}),
    ("https://files.test", {"Host": "127.0.0.1:8080", "X_Forwarded_Host": "files.test"}),
    ("https://files.test", {"Host": "127.0.0.1:8080", "X_Forwarded_Host": "files.test", "X_Forwarded_Port": "443"}),
    ("https://files.test", {"Host": "127.0.0.1:8080", "X_Forwarded_Host": "files.test:443"}),
    ("https://files.test:8443", {"Host": "127.0.0.1:8080", "X_Forwarded_Host": "files.test:8443"}),
    ("https://files.test:8443", {"Host": "127.0.0.1:8080", "X_Forwarded_Host": "files.test", "X_Forwarded_Port": "8443"}),
    ("https://files.test", {"Host": "files.test", "X_Forwarded_Host": "inner.test"}),
    ("http://[fd00::1]:9000", {"Host": "127.0.0.1:8080", "X_Forwarded_Host": "[fd00::1]:9000"}),
    ("http://[fd00::1]:9000", {"Host": "[fd00::1]", "X_Forwarded_Port": "9000"}),
]


@pytest.mark.parametrize("form", ["header", "query"])
@pytest.mark.parametrize("origin, headers", MATRIX)
def test_the_host_the_client_signed_is_found(origin, headers, form):
    request = signed("GET", f"{origin}/b/k", form=form)
    assert judge(behind(request, **headers), proxies=TRUSTED).kind == form


@pytest.mark.parametrize("origin, headers", [row for row in MATRIX if "X_Forwarded_Host" in row[1] and row[1]["Host"] != "files.test"])
@pytest.mark.parametrize("peer", ["192.0.2.1", "127.0.0.1", "", "unix:"])
def test_spoofed_hosts_of_untrusted_peers_are_ignored(origin, headers, peer):
    with pytest.raises(SignatureDoesNotMatch):
        judge(behind(signed("GET", f"{origin}/b/k"), peer=peer, **headers), proxies=TRUSTED)


@pytest.mark.parametrize("form", ["header", "query", "query-v2"])
def test_a_removed_prefix_is_part_of_the_signed_path(form):
    request = signed("GET", "https://files.test/s3/v1/b/k", form=form)
    stripped = changed(request, target=request.target.removeprefix("/s3/v1"))
    assert judge(behind(stripped, X_Forwarded_Prefix="/s3/v1/"), proxies=TRUSTED).kind == form
    for peer, prefix in (("192.0.2.1", "/s3/v1"), ("10.0.0.1", "/s3"), ("10.0.0.1", "s3/v1"), ("10.0.0.1", "/s3//v1"), ("10.0.0.1", "")):
        with pytest.raises(SignatureDoesNotMatch):
            judge(behind(stripped, peer=peer, X_Forwarded_Prefix=prefix), proxies=TRUSTED)


def test_direct_clients_may_or_may_not_sign_the_default_port():
    for url, host in (("http://h", "h:80"), ("https://h", "h:443")):
        assert judge(with_header(signed("GET", f"{url}/b/k"), "Host", host)).kind == "header"
    with pytest.raises(SignatureDoesNotMatch):
        judge(with_header(signed("GET", "http://h/b/k"), "Host", "h:8080"))


def test_a_forwarded_host_that_names_another_bucket_cannot_lend_its_signature():
    """A client's own X-Forwarded-Host may reach us through a careless proxy."""
    link = signed("GET", "http://secret.s3.test/k", form="query")
    path_style = signed("GET", "http://s3.test/b/k", form="query")
    for request, host, forwarded in (
        (link, "secret.s3.test", "mine.s3.test"),
        (path_style, "s3.test", "b.s3.test"),
        (link, "secret.s3.test", "s3.test"),
    ):
        spoofed = behind(request, Host=host, X_Forwarded_Host=forwarded)
        assert TRUSTED.host(spoofed) == forwarded  # which bucket is asked for is decided by this one
        with pytest.raises(SignatureDoesNotMatch):
            judge(spoofed, proxies=TRUSTED, domains=DOMAINS)


def test_virtual_hosts_work_behind_proxies():
    request = signed("GET", "https://mine.s3.test/k")
    assert judge(behind(request, Host="127.0.0.1:8080", X_Forwarded_Host="mine.s3.test"), proxies=TRUSTED, domains=DOMAINS)
    assert judge(behind(request, Host="mine.s3.test:443"), proxies=TRUSTED, domains=DOMAINS)


# (X-Forwarded-For, peer, the client's address)
CLIENTS = [
    ("198.51.100.7", "10.0.0.1", "198.51.100.7"),
    ("198.51.100.7, 10.0.0.2", "10.0.0.1", "198.51.100.7"),
    ("203.0.113.9, 198.51.100.7", "10.0.0.1", "198.51.100.7"),  # the first is the client's own invention
    ("198.51.100.7:1234", "10.0.0.1", "198.51.100.7"),
    ("[2001:db8::1]:1234", "10.0.0.1", "2001:db8::1"),
    ("2001:DB8:0::1", "fd00::1", "2001:db8::1"),
    ("::ffff:198.51.100.7", "::ffff:10.0.0.1", "198.51.100.7"),
    ("unknown", "10.0.0.1", "10.0.0.1"),
    ("198.51.100.7, junk", "10.0.0.1", "10.0.0.1"),
    ("", "10.0.0.1", "10.0.0.1"),
    (None, "10.0.0.1", "10.0.0.1"),
    ("10.0.0.3, 10.0.0.2", "10.0.0.1", "10.0.0.3"),
    ("198.51.100.7", "192.0.2.1", "192.0.2.1"),
]


@pytest.mark.parametrize("forwarded, peer, client", CLIENTS)
def test_the_client_is_the_nearest_address_that_is_no_proxy(forwarded, peer, client):
    headers = [] if forwarded is None else [("X-Forwarded-For", forwarded)]
    assert TRUSTED.client(Request("GET", "/", headers, peer=peer)) == client


def test_repeated_forwarding_headers_are_one_list():
    request = Request("GET", "/", [("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-For", "10.0.0.2")], peer="10.0.0.1")
    assert TRUSTED.client(request) == "198.51.100.7"


@pytest.mark.parametrize(
    "proto, peer, scheme",
    [
        ("https", "10.0.0.1", "https"),
        ("HTTPS", "10.0.0.1", "https"),
        ("http, https", "10.0.0.1", "https"),
        ("ftp", "10.0.0.1", "http"),
        ("https", "192.0.2.1", "http"),
        ("", "10.0.0.1", "http"),
    ],
)
def test_the_scheme(proto, peer, scheme):
    assert TRUSTED.scheme(Request("GET", "/", [("X-Forwarded-Proto", proto)], peer=peer)) == scheme


def test_what_the_client_wrote_before_the_first_trusted_hop_is_not_used():
    two_hops = [("X-Forwarded-For", "198.51.100.7, 10.0.0.2"), ("X-Forwarded-Host", "evil.test, files.test, inner.test"), ("Host", "h")]
    assert TRUSTED.host(Request("GET", "/", two_hops, peer="10.0.0.1")) == "files.test"
    one_hop = [("X-Forwarded-Host", "evil.test, files.test"), ("Host", "h")]
    assert TRUSTED.host(Request("GET", "/", one_hop, peer="10.0.0.1")) == "files.test"


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a:b", "a:123456", "x\ny", "user@h"])
def test_forwarded_hosts_that_are_none_are_ignored(host):
    assert TRUSTED.host(Request("GET", "/", [("Host", "h"), ("X-Forwarded-Host", host)], peer="10.0.0.1")) == "h"


def test_nobody_is_trusted_by_default():
    request = Request("GET", "/", [("Host", "h"), ("X-Forwarded-Host", "f"), ("X-Forwarded-For", "1.2.3.4")], peer="127.0.0.1")
    nobody = TrustedProxies()
    assert (nobody.client(request), nobody.host(request), nobody.prefixes(request)) == ("127.0.0.1", "h", [""])


@pytest.mark.parametrize("cidr", ["proxy.test", "10.0.0.0/33", "*"])
def test_a_bad_network_is_named(cidr):
    with pytest.raises(ValueError, match=cidr.replace("*", r"\*").split("/")[0]):
        TrustedProxies([cidr])
