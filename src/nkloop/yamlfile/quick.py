"""The nodes of a sound YAML file from libyaml, some twenty times faster than from the loader written in Python.

libyaml scans YAML 1.1, whose only difference that matters here is what plain text counts as a number or a truth value;
that is decided by YAML 1.2, as everywhere in this package. A file libyaml does not take is left to the other loader,
which says what is wrong with it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_READ_DIFFERENTLY = re.compile(r"\t|^%", re.MULTILINE)
"""Tabs and directives."""


def compose(text: str) -> Any | None:
    """The root node of one YAML 1.2 document; None when there is none, or the other loader must look at the text."""
    if _READ_DIFFERENTLY.search(text):
        return None
    import yaml

    try:
        loader = _loader()(text)
    except ImportError:  # PyYAML is built without libyaml here
        return None
    try:
        root = loader.get_single_node()
        # text as the whole file is folded differently
        return root if isinstance(root, yaml.MappingNode) and not loader.has_empty_value else None
    except yaml.YAMLError:
        return None
    finally:
        loader.dispose()


@cache
def _loader() -> type[Any]:
    from ruamel.yaml.nodes import ScalarNode as RuledNode
    from ruamel.yaml.resolver import VersionedResolver
    from yaml.cyaml import CParser
    from yaml.nodes import MappingNode, ScalarNode, SequenceNode

    rules = VersionedResolver(version=(1, 2))
    own = {MappingNode: "tag:yaml.org,2002:map", SequenceNode: "tag:yaml.org,2002:seq"}

    class Loader(CParser):  # type: ignore[misc]  # compiled
        """libyaml's parser with the tags of YAML 1.2."""

        has_empty_value = False
        """True when a field was left empty; the two loaders place what is not there differently."""

        def resolve(self, kind: type[Any], value: str, implicit: Any) -> str:
            """Tag of a node that has none."""
            if kind is not ScalarNode:
                return own[kind]
            if not implicit[0]:
                return "tag:yaml.org,2002:str"
            self.has_empty_value |= not value
            return str(rules.resolve(RuledNode, value, (True, False)))

        def descend_resolver(self, *given: Any) -> None:
            """No tag depends on where a node stands."""

        def ascend_resolver(self) -> None:
            """No tag depends on where a node stands."""

    return Loader
