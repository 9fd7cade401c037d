"""Hold the metadata against itself and against the bytes: what is lost, what is miscounted, what waits for the sweeper.

Works in pages beside a running server. What came and went while it looked is looked at again before it is reported.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from shared import recount
from shared.blobs.engine import BlobCorrupt, BlobEngine, BlobMissing
from shared.clock import now_ms
from shared.errors import S3Error
from shared.findings import EXAMPLES, Report
from shared.meta import objects, uploads
from shared.meta.counters import Delta
from shared.meta.database import session
from shared.meta.models import VERSIONING_OFF
from shared.protocol import checksums
from shared.recount import BodyRow, VersionRow
from shared.store import Store

FILES = 500             # looked at together
OVERDUE_MS = 600_000    # beyond two sweep delays: a sweeper that runs would have been here

Progress = Callable[[int, int | None, str], None]


def check(app: Any, repair: bool, progress: Progress, deep: bool = False) -> Report:
    """Compare metadata and bytes, a page at a time. ``deep`` also reads all bytes and compares their checksums.

    Changes nothing unless ``repair``, which corrects reference counts, bucket counters and what tenants use, and frees blobs that nothing
    refers to; it deletes nothing. Raises ServiceUnavailable when the database goes away meanwhile: then run it again.
    """
    with session():
        recount.open_scratch()
        try:
            return _Check(app.services.engine, app.services.settings.sweep_delay_s, repair, progress).run(deep)
        finally:
            recount.close_scratch()


class _Check:
    """One check under way."""

    def __init__(self, engine: BlobEngine, sweep_delay_s: int, repair: bool, progress: Progress) -> None:
        self._engine = engine
        self._repair = repair
        self._progress = progress
        self._overdue_ms = now_ms() - 2000 * sweep_delay_s - OVERDUE_MS
        self._report = Report()
        self._names: dict[int, tuple[str, int]] = {}
        self._done, self._total = 0, 0

    def run(self, deep: bool) -> Report:
        tables = ("object", "version", "segment", "part", "blob", "blob", *(("object", "version") if deep else ()))     # blobs and files
        self._total = sum(recount.query(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables)  # noqa: S608 - names
        self._read_buckets()
        for page in recount.objects():
            self._look_at_versions(page)
            self._report.objects += len(page)
        for page in recount.versions():
            self._look_at_versions(page)
            self._report.versions += len(page)
        self._look_at_segments()
        self._look_at_bodies()
        self._look_at_blobs()
        self._look_at_files()
        self._look_at_buckets()
        self._look_at_tenants()
        if deep:
            self._read_everything()
        self._progress(self._total, self._total, "done")
        return self._report

    def _advance(self, count: int, what: str) -> None:
        self._done += count
        self._total = max(self._total, self._done)
        self._progress(self._done, self._total, what)

    def _read_buckets(self) -> None:
        rows = recount.query("SELECT id, name, versioning FROM bucket").fetchall()
        self._names = {bucket_id: (bytes(name).decode(), versioning) for bucket_id, name, versioning in rows}

    def _name(self, bucket_id: int, key: bytes, version_id: str) -> str:
        bucket = self._names.get(bucket_id, (f"bucket {bucket_id}", 0))[0]
        return f"{bucket}/{key.decode(errors='backslashreplace')}" + (f" ({version_id})" if version_id != "null" else "")

    # ---- rows -------------------------------------------------------------------------------------------------------------------

    def _look_at_versions(self, page: list[VersionRow]) -> None:
        for row in page:
            for kind in self._faults(row):
                self._report.add(kind, self._name(row.bucket_id, bytes(row.key), row.version_id))
        recount.note("check_held", (bytes(row.blob_id) for row in page if row.blob_id is not None))
        recount.note("check_body", (bytes(row.body_id) for row in page if row.body_id is not None))
        self._advance(len(page), "versions")

    def _faults(self, row: VersionRow) -> Iterator[str]:
        if row.is_homeless:
            yield "homeless"
        elif row.seq and self._names.get(row.bucket_id, ("", 1))[1] == VERSIONING_OFF:
            yield from self._if_still_unversioned(row.bucket_id)
        if row.is_misplaced:
            yield "history"
        if row.is_twice:
            yield "twice"
        content = (row.blob_id is not None) + (row.body_id is not None)
        if row.is_marker:
            if content or row.size:
                yield "marker"
        elif content == 2 or (not content and row.size):
            yield "no_content"
        elif row.blob_id is not None and not row.has_blob:
            yield "blob_row_missing"
        elif row.body_id is not None and row.parts_size is None:
            yield "no_content"
        elif content and row.size != (row.blob_size if row.blob_id is not None else row.parts_size):
            yield "size"

    def _if_still_unversioned(self, bucket_id: int) -> Iterator[str]:
        self._read_buckets()        # it may have been enabled since we read them
        if self._names.get(bucket_id, ("", 1))[1] == VERSIONING_OFF:
            yield "unversioned"

    def _look_at_segments(self) -> None:
        for page in recount.segments():
            for row in page:
                where = f"part {row.part_number} of {bytes(row.body_id).hex()}"
                if not row.has_blob:
                    self._report.add("blob_row_missing", where)
                elif row.offset < 0 or row.length < 0 or row.offset + row.length > (row.blob_size or 0):
                    self._report.add("segment_range", where)
                if not row.has_part:
                    self._report.add("segment_part", where)
            recount.note("check_held", (bytes(row.blob_id) for row in page))
            self._advance(len(page), "segments")

    def _look_at_bodies(self) -> None:
        recount.forget("check_suspect")
        for page in recount.bodies():
            for row in page:
                if row.uneven or not (row.is_upload or _is_whole(row)):
                    self._report.add("parts", bytes(row.id).hex())
            recount.note("check_suspect", (bytes(row.id) for row in page if row.owners + row.is_upload != 1))
            parts = sum(row.parts for row in page)
            self._report.parts += parts
            self._advance(parts, "parts")
        for body_id, owners in recount.misowned():
            self._report.add("owners", f"{body_id.hex()} has {owners}")

    # ---- blobs and files ----------------------------------------------------------------------------------------------------------

    def _look_at_blobs(self) -> None:
        recount.forget("check_suspect")
        for page in recount.blobs():
            suspects, lost = [], []
            for row in page:
                blob_id = bytes(row.id)
                if row.refs != row.held or (row.refs <= 0) != (row.freed_ms is not None):
                    suspects.append(blob_id)
                if row.refs > 0 and (fault := self._fault_of(blob_id, row.size, row.is_plain, row.inline)):
                    self._report.add(fault, blob_id.hex())
                    lost.append(blob_id)
                elif row.refs <= 0 and row.held == 0 and row.freed_ms is not None:
                    self._report.add("freed")
            recount.note("check_suspect", suspects)
            recount.note("check_lost", lost)
            self._report.blobs += len(page)
            self._advance(len(page), "blobs")
        self._correct_references()
        for bucket_id, key, version_id in recount.losers(EXAMPLES):
            self._report.add("affected", self._name(bucket_id, key, version_id))

    def _fault_of(self, blob_id: bytes, size: int, is_plain: bool, inline: int | None) -> str | None:
        """What is wrong with the bytes of a blob that is referred to."""
        if inline is not None:
            return "blob_size" if inline != size else None
        fault = None
        try:
            if is_plain and self._engine.size(blob_id) != size:
                fault = "blob_size"
            elif not is_plain:
                self._engine.size(blob_id)
        except BlobMissing:
            fault = "blob_file_missing"
        if fault is not None:       # unless it was deleted since its row was read
            row = recount.query("SELECT refs FROM blob WHERE id = ?", blob_id).fetchone()
            fault = fault if row and row[0] > 0 else None
        return fault

    def _correct_references(self) -> None:
        for blob_id, refs, held, freed_ms in list(recount.miscounted()):
            repaired = self._repair and recount.correct_refs(blob_id, refs, held)
            state = "" if freed_ms is None else ", freed"
            self._report.add("refs", f"{blob_id.hex()} says {refs}{state}, has {held}", repaired=repaired)

    def _look_at_files(self) -> None:
        walk = self._engine.walk()
        while page := list(islice(walk, FILES)):
            marks = ", ".join("?" * len(page))
            rows = recount.query(f"SELECT id FROM blob WHERE id IN ({marks})", *[entry.id for entry in page])  # noqa: S608 - marks
            known = {bytes(blob_id) for (blob_id,) in rows}
            for entry in page:
                if entry.id not in known:
                    self._report.add("overdue" if entry.modified_ms < self._overdue_ms else "orphans", entry.id.hex())
            self._report.files += len(page)
            self._advance(len(page), "files")

    # ---- buckets ------------------------------------------------------------------------------------------------------------------

    def _look_at_buckets(self) -> None:
        self._read_buckets()
        for bucket_id, (name, _) in self._names.items():
            found = recount.totals(bucket_id)
            if found is None or (found.has_counters and found.missing == Delta()):
                continue
            if self._repair:
                recount.correct_counters(bucket_id)
            self._report.add("counters", f"{name}: off by {found.missing}", repaired=self._repair)
        gone = "SELECT id FROM upload u WHERE NOT EXISTS (SELECT 1 FROM bucket k WHERE k.id = u.bucket_id)"
        for (upload_id,) in recount.query(gone).fetchall():
            self._report.add("uploads", bytes(upload_id).hex())

    def _look_at_tenants(self) -> None:
        for tenant in recount.tenants():
            if not tenant.is_right:
                if self._repair:
                    recount.correct_usage(tenant.id)
                self._report.add("tenants", f"{tenant.name}: off by {tenant.bytes} bytes, {tenant.objects} objects", repaired=self._repair)
        gone = "SELECT name FROM bucket k WHERE k.tenant_id <> 0 AND NOT EXISTS (SELECT 1 FROM tenant t WHERE t.id = k.tenant_id)"
        for (name,) in recount.query(gone).fetchall():
            self._report.add("estranged", bytes(name).decode())

    # ---- bytes --------------------------------------------------------------------------------------------------------------------

    def _read_everything(self) -> None:
        store = Store(self._engine)
        for pages in (recount.objects(), recount.versions()):
            for row in (row for page in pages for row in page):
                if not row.is_marker and row.size and not self._is_intact(store, row):
                    self._report.add("altered", self._name(row.bucket_id, bytes(row.key), row.version_id))
                self._report.bytes_read += row.size
                self._advance(1, f"{self._report.bytes_read >> 20} MiB read")

    def _is_intact(self, store: Store, row: VersionRow) -> bool:
        """Whether the bytes are those of the checksums. True too when the version was deleted while we read."""
        try:
            found = objects.find(row.bucket_id, bytes(row.key), row.version_id, with_data=True)
            if found is None or all(_holds(store, found, claim) for claim in _claims(found)):
                return True
        except (BlobMissing, BlobCorrupt, objects.SourceGone, OSError, S3Error):
            pass
        return objects.find(row.bucket_id, bytes(row.key), row.version_id) is None


def _is_whole(row: BodyRow) -> bool:
    """Whether the parts of a completed body follow each other without a gap."""
    return row.placed == row.parts and row.first == 0 and row.end == row.size


class _Claim(NamedTuple):
    """Bytes whose checksum is known, in base64."""

    first: int
    length: int
    algorithm: str
    checksum: str


def _claims(found: objects.Found) -> list[_Claim]:
    """What can be verified: the whole, or else each part that has a checksum."""
    if found.checksum_algorithm and found.checksum and "-" not in found.checksum:
        return [_Claim(0, found.size, found.checksum_algorithm, found.checksum)]
    if found.body_id is not None:
        return [
            _Claim(part.start or 0, part.size, part.checksum_algorithm, part.checksum)
            for part in uploads.parts(found.body_id) if part.checksum_algorithm and part.checksum
        ]
    return [_Claim(0, found.size, "MD5", b64encode(bytes.fromhex(found.etag)).decode())] if "-" not in found.etag else []


def _holds(store: Store, found: objects.Found, claim: _Claim) -> bool:
    algorithm = checksums.find(claim.algorithm).name
    return not claim.length or store.checksum(found, claim.first, claim.first + claim.length - 1, algorithm) == claim.checksum
