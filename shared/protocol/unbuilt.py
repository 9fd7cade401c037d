"""Request headers whose features are not built yet: refused by name, never silently ignored.

Each entry goes when the feature comes. A value that asks for nothing (no legal hold) is no request for the feature.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import InvalidStorageClass, NotImplementedS3

PREFIXES = (
    "x-amz-mfa",
    "x-amz-write-offset-bytes",
)
HARMLESS: dict[str, frozenset[str]] = {
    "x-amz-bucket-namespace": frozenset({"global"}),
    "x-amz-object-annotation-directive": frozenset({"COPY"}),
}
STORAGE_CLASSES = frozenset({"STANDARD"})


def refuse_unbuilt(headers: Mapping[str, str]) -> None:
    """Look through the headers (lower-case names) of a request.

    Raises NotImplementedS3 naming the header, InvalidStorageClass.
    """
    for name, value in headers.items():
        if not name.startswith("x-amz-"):
            continue
        if name == "x-amz-storage-class":
            if value not in STORAGE_CLASSES:
                raise InvalidStorageClass()
        elif (name in HARMLESS and value not in HARMLESS[name]) or (name not in HARMLESS and name.startswith(PREFIXES)):
            raise NotImplementedS3(f"A header you provided implies functionality that is not implemented: {name}", Header=name)
