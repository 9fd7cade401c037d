"""What a bootstrap did: one line for each thing that was made or changed."""

from __future__ import annotations

from typing import NamedTuple


class Change(NamedTuple):
    """Something that was made or changed. ``action`` is created or updated; ``fields`` names what is different now, without values."""

    action: str
    kind: str
    name: str
    fields: tuple[str, ...] = ()

    @property
    def verb(self) -> str:
        """As the audit log has it."""
        return self.action.removesuffix("d")

    def text(self) -> str:
        """For people."""
        return f"{self.kind} {self.name} {self.action}" + (f" ({', '.join(self.fields)})" if self.fields else "")
