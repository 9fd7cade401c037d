"""Read a YAML file as the bootstrap file needs it: plain data, and nothing that means something else than it says.

The booleans are those of YAML 1.2 (https://yaml.org/spec/1.2.2/#10312-tag-resolution): PyYAML follows 1.1, where ``off`` and ``no``
are false too.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, ClassVar

import yaml

_BOOLEAN = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Words that look like booleans are words; a key that is there twice and aliases are refused."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, Any]]]] = {
        first: [(tag, pattern) for tag, pattern in found if tag != _BOOLEAN]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # A few nested aliases expand to gigabytes.
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"aliases are not read{self.peek_event().start_mark}")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [name.value for name, _ in node.value]
        for name, _ in node.value:
            if names.count(name.value) > 1:
                raise yaml.YAMLError(f"{name.value} is there twice{name.start_mark}")
        return super().construct_mapping(node, deep)  # type: ignore[no-any-return]


_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|false)$"), ["t", "f"])


def load_yaml(text: str) -> object:
    """Lists, dicts and scalars of ``text``. Raises yaml.YAMLError, ValueError for a date that does not exist."""
    return yaml.load(text, _Loader)  # noqa: S506 (it is a SafeLoader)
