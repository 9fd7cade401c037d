"""Finding and exporting audit events, the same on both engines."""

import csv
import io
import json

import pytest

from shared.audit import Event
from shared.audit.export import comma_separated, json_lines
from shared.audit.rows import MOST_DETAILS_BYTES
from shared.audit.search import Filter, every, find, page
from shared.audit.verify import verify

HOSTILE = ["'", '"', "\\", "a' OR 1=1 --", "NEAR(a b)", "*", "-", ":*", "&|!", "(", "%", "a:b", "\0", "\ud800", "", "   ",
           "日本", "é" * 500]


def ids(store, **wanted):
    return [row.id for row in page(store, Filter(**wanted), None, 100)]


def test_newest_first_in_pages(filled):
    assert [row.id for row in page(filled, Filter(), None, 3)] == [20, 19, 18]
    assert [row.id for row in page(filled, Filter(), 18, 2)] == [17, 16]
    assert len(list(every(filled, Filter()))) == 20


@pytest.mark.parametrize(("wanted", "found"), [
    ({"tenant_id": 1, "until_ms": 1006}, [6, 4, 2]),
    ({"since_ms": 1018}, [20, 19]),
    ({"resource_id": "3"}, [4]),
    ({"resource_name": "ann-3", "event_type": "user_created", "action": "create", "status": "success", "username": "root"}, [4]),
    ({"event_type": "user_deleted"}, []),
    ({"status": "failed"}, []),
    ({"text": "ann 3"}, [4]),
    ({"text": "ANN-1"}, [20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 2]),
    ({"text": "user created 12"}, [13]),
    ({"text": "user deleted"}, []),
    ({"text": "--"}, []),
])
def test_filters(filled, wanted, found):
    assert ids(filled, **wanted) == found


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_syntax(filled, text):
    found = ids(filled, text=text)
    assert found == (list(range(20, 0, -1)) if not text.strip() else []) or text in ("a' OR 1=1 --", "NEAR(a b)", "a:b")


@pytest.mark.parametrize("text", HOSTILE)
def test_every_text_is_stored_and_verifies(store, text):
    store.append([Event(text, text, text, text, details={text: [text, {"deep": text.encode("utf-8", "replace")}]}, agent=text)])
    assert verify(store).faults == []
    json.loads(find(store, 1).details)


def test_details_and_names_are_found_by_their_words(store):
    store.append([Event("object_uploaded", "object", "reports/2026/Summary-final.pdf", "invoices", details={"code": "NoSuchKey", "n": 17})])
    for text in ("summary", "final pdf", "invoi", "nosuchkey", "17", "reports/2026", "object_uploaded"):
        assert ids(store, text=text) == [1], text
    assert ids(store, text="missing") == []


def test_details_that_are_too_long_say_so(store):
    store.append([Event("x", details={"keys": ["k" * 1000] * 100}), Event("y" * 5000)])
    assert "omitted" in json.loads(find(store, 1).details)
    assert len(find(store, 1).details) < MOST_DETAILS_BYTES
    assert len(find(store, 2).event_type) == 1024


def test_retention_takes_events_out_of_the_index(filled):
    filled.prune(before_ms=1010, limit=100)
    assert ids(filled, text="ann 3") == []
    assert ids(filled, text="ann 13") == [14]


def test_json_lines(filled):
    lines = b"".join(json_lines(every(filled, Filter(tenant_id=0)))).splitlines()
    first = json.loads(lines[0])
    assert len(lines) == 10
    assert (first["id"], first["at"], first["at_ms"], first["details"]) == (19, "1970-01-01T00:00:01.018Z", 1018, {})


def test_csv_has_no_formulas(store):
    store.append([Event("=cmd|' /C calc'!A0", "user", "-1", 'a,"b"\nc', username="@sum")])
    names, row = list(csv.reader(io.StringIO(b"".join(comma_separated(every(store, Filter()))).decode())))
    found = dict(zip(names, row, strict=True))
    assert found["event_type"].startswith("'=") and found["username"] == "'@sum" and found["resource_id"] == "'-1"
    assert found["resource_name"] == 'a,"b"\nc'


def test_an_export_is_streamed(filled, monkeypatch):
    """The first piece is there before the last page is read."""
    from shared.audit import export, search

    monkeypatch.setattr(search, "PAGE_ROWS", 5)
    monkeypatch.setattr(export, "PIECE_ROWS", 5)
    read = []
    original = search.page
    monkeypatch.setattr(search, "page", lambda *args: read.append(1) or original(*args))
    pieces = json_lines(every(filled, Filter()))
    next(pieces)
    assert len(read) == 1
    assert len(b"".join(pieces).splitlines()) == 15
