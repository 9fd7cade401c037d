"""Hold the metadata against itself and against the bytes: what is lost, what is miscounted, what waits for the sweeper.

Works in pages beside a running server. What came and went while it looked is looked at again before it is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from shared import recount, verifying
from shared.blobs.engine import BlobMissing
from shared.blobs.transforms import stored_bytes
from shared.clock import now_ms
from shared.errors import S3Error
from shared.findings import EXAMPLES, Report
from shared.meta import objects
from shared.meta.counters import Delta
from shared.meta.database import session
from shared.meta.models import VERSIONING_OFF
from shared.recount import BlobRow, BodyRow, VersionRow
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
            store = getattr(app.services, "store", None) or Store(app.services.engine)
            return _Check(store, app.services.settings.sweep_delay_s, repair, progress).run(deep)
        finally:
            recount.close_scratch()


class _Check:
    """One check under way."""

    def __init__(self, store: Store, sweep_delay_s: int, repair: bool, progress: Progress) -> None:
        self._store, self._engine = store, store.engine
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
                if row.refs > 0 and (fault := self._fault_of(blob_id, row)):
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

    def _fault_of(self, blob_id: bytes, row: BlobRow) -> str | None:
        """What is wrong with the bytes of a blob that is referred to. How much a packed one takes, nobody knows beforehand."""
        wanted = stored_bytes(row.size) if row.is_encrypted else row.size
        if row.inline is not None:
            return "blob_size" if row.inline != wanted and not row.is_packed else None
        fault = None
        try:
            if self._engine.size(blob_id) != wanted and not row.is_packed:
                fault = "blob_size"
        except BlobMissing:
            fault = "blob_file_missing"
        if fault is not None:       # unless it was deleted since its row was read
            refs = recount.query("SELECT refs FROM blob WHERE id = ?", blob_id).fetchone()
            fault = fault if refs and refs[0] > 0 else None
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
        for pages in (recount.objects(), recount.versions()):
            for row in (row for page in pages for row in page):
                if not row.is_marker and row.size and (fault := self._fault_of_bytes(row)):
                    self._report.add(fault, self._name(row.bucket_id, bytes(row.key), row.version_id))
                self._report.bytes_read += row.size
                self._advance(1, f"{self._report.bytes_read >> 20} MiB read")

    def _fault_of_bytes(self, row: VersionRow) -> str | None:
        """What is wrong with the bytes of a version; None also when it was deleted, or got other bytes, while we read."""
        found = objects.find(row.bucket_id, bytes(row.key), row.version_id, with_data=True)
        if found is None:
            return None
        try:
            fault = verifying.fault(self._store, found)
        except (objects.SourceGone, OSError, S3Error):
            fault = "altered"
        if fault is None:
            return None
        again = objects.find(row.bucket_id, bytes(row.key), row.version_id)
        return fault if again is not None and (again.blob_id, again.body_id) == (found.blob_id, found.body_id) else None


def _is_whole(row: BodyRow) -> bool:
    """Whether the parts of a completed body follow each other without a gap."""
    return row.placed == row.parts and row.first == 0 and row.end == row.size
