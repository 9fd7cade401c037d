"""What a check found: each kind of thing that is not as it should be, how bad it is, and how often it was seen."""

from __future__ import annotations

from dataclasses import dataclass, field

LOST, WRONG, WAITING = "lost", "wrong", "waiting"
EXAMPLES = 20           # named of each kind; the others are only counted

KINDS = {
    "no_content": (LOST, "versions whose bytes nobody knows"),
    "blob_row_missing": (LOST, "references to blobs that have no row"),
    "blob_file_missing": (LOST, "blobs whose file is gone"),
    "blob_size": (LOST, "blobs whose bytes are fewer or more than they were"),
    "segment_range": (LOST, "segments that reach beyond their blob"),
    "affected": (LOST, "versions that need one of these blobs"),
    "altered": (LOST, "versions whose bytes do not have their checksum"),
    "key_missing": (LOST, "versions whose encryption key is not in the key ring, or does not open"),
    "size": (WRONG, "versions whose size is not that of their bytes"),
    "parts": (WRONG, "bodies whose parts do not add up"),
    "owners": (WRONG, "bodies that belong to nothing, or to several things"),
    "segment_part": (WRONG, "segments without their part"),
    "history": (WRONG, "keys whose versions are out of order"),
    "twice": (WRONG, "version ids that occur twice under one key"),
    "unversioned": (WRONG, "history in buckets that never had versioning"),
    "marker": (WRONG, "delete markers with content"),
    "homeless": (WRONG, "versions of buckets that are gone"),
    "refs": (WRONG, "blobs whose references are miscounted"),
    "counters": (WRONG, "buckets whose counters differ from a recount"),
    "tenants": (WRONG, "tenants whose usage differs from a recount"),
    "estranged": (WRONG, "buckets of tenants that are gone"),
    "overdue": (WRONG, "files without a row that no sweeper came for"),
    "orphans": (WAITING, "files without a row, to be swept"),
    "freed": (WAITING, "blobs without references, to be swept"),
    "key_off": (WAITING, "versions that were not read, since their encryption key is switched off"),
    "customers": (WAITING, "versions that were not read, since only the customer has their key"),
    "uploads": (WAITING, "uploads to buckets that are gone, to be aborted"),
}


@dataclass
class Finding:
    """One kind of thing that is not as it should be: ``severity`` is lost, wrong or waiting (which is nothing to worry about)."""

    kind: str
    severity: str
    meaning: str
    count: int = 0
    repaired: int = 0
    examples: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        more = f" ({self.repaired} repaired)" if self.repaired else ""
        shown = ", ".join(self.examples[:3]) + (", …" if self.count > 3 else "")
        return f"{self.severity}: {self.count} {self.meaning}{more}" + (f": {shown}" if shown else "")


@dataclass
class Report:
    """What was looked at and what was found. ``ok``: nothing is lost, and nothing is wrong any more."""

    ok: bool = True
    objects: int = 0
    versions: int = 0
    blobs: int = 0
    parts: int = 0
    files: int = 0
    bytes_read: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, example: str = "", *, repaired: bool = False) -> None:
        """Count one finding."""
        found = next((finding for finding in self.findings if finding.kind == kind), None)
        if found is None:
            found = Finding(kind, *KINDS[kind])
            self.findings.append(found)
        found.count += 1
        found.repaired += repaired
        if example and len(found.examples) < EXAMPLES:
            found.examples.append(example)
        self.ok = all(one.severity == WAITING or one.repaired == one.count for one in self.findings)

    def count(self, kind: str) -> int:
        """How many of a kind were found."""
        return sum(finding.count for finding in self.findings if finding.kind == kind)

    def __str__(self) -> str:
        looked = f"{self.objects} objects, {self.versions} older versions, {self.blobs} blobs, {self.files} files"
        order = list(KINDS)
        lines = [str(finding) for finding in sorted(self.findings, key=lambda finding: order.index(finding.kind))]
        return "\n".join([f"{looked}: " + ("all is well" if self.ok else "not all is well"), *lines])
