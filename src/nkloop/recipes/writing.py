"""A recipe as YAML text: written anew, or into an existing text whose comments and layout stay."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from nkloop.recipes.models import Recipe

SCHEMA_LINE = "yaml-language-server: $schema=recipe.schema.json"
"""First comment of a recipe file; an editor then completes and checks with the schema beside it."""
_ONE_LINE = frozenset(
    {
        "components",
        "carry_over",
        "additives",
        "expected",
        "vary",
        "base",
        "refresh",
        "settling",
        "mixing",
        "sampling",
        "controls",
    }
    | {"entry", "exit", "error_limits"}
)
"""Blocks that are written on one line, or one line per entry."""
_LAST = ("source", "verified_by")
_IDENTITY = ("id", "component", "name", "substance", "quantity", "day")
"""Fields that tell the items of a list apart, the first that an item has."""


def to_yaml(recipe: Recipe) -> str:
    """The YAML text of a recipe, in the order of the model."""
    data = _laid_out(without_empty(recipe.model_dump(mode="json")))
    data.yaml_set_start_comment(
        f"{SCHEMA_LINE}\n"
        f"Culture recipe {recipe.revision_id}: revision {recipe.revision.number}, {recipe.revision.status}.\n"
        "Values without verified_by are copies that nobody has checked against their source."
    )
    for block in ("sources", "components", "stages", "arms", "loop", "revision"):
        if block in data:
            data.yaml_set_comment_before_after_key(block, before="\n")
    return _dumped(data)


def rewritten(text: str, old: Recipe, new: Recipe) -> str:
    """The text of `old` with what differs in `new` written into it; everything else stays as it stands."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    if before == after:
        return text
    node = _yaml().load(text)
    _merge_block(node, before, after)
    return _dumped(node)


def _yaml() -> Any:
    from ruamel.yaml import YAML  # needed only when a file is written

    yaml = YAML()
    yaml.width = 4096
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    # null is written out, because `verified_by:` with nothing behind it looks forgotten
    yaml.representer.add_representer(
        type(None), lambda presenter, _: presenter.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _dumped(data: Any) -> str:
    stream = io.StringIO()
    _yaml().dump(data, stream)
    return stream.getvalue()


def _merge(node: Any, key: Any, old: Any, new: Any) -> None:
    """Bring `node[key]` from the old value to the new one."""
    inside = node[key] if key in node or isinstance(key, int) else None
    if isinstance(inside, Mapping) and isinstance(old, Mapping) and isinstance(new, Mapping):
        _merge_block(inside, old, new)
    elif isinstance(inside, list) and isinstance(old, list) and isinstance(new, list) and _are_blocks(old, new):
        _merge_list(inside, old, new)
    else:
        node[key] = _laid_out(new, key)


def _merge_block(node: Any, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        if key not in old or old[key] != value:
            _merge(node, key, old.get(key), value)
    for key in old:
        if key not in new and key in node:
            del node[key]


def _merge_list(node: Any, old: list[Any], new: list[Any]) -> None:
    was, becomes = [_name(item) for item in old], [_name(item) for item in new]
    kept = [name for name in was if name in becomes]
    if len(set(was)) < len(was) or len(set(becomes)) < len(becomes) or kept != [n for n in becomes if n in was]:
        style = node[0].fa.flow_style() if node else False
        node[:] = [_laid_out(item) for item in new]
        _style(node, style)
        return
    for index in reversed(range(len(was))):
        if was[index] not in becomes:
            del node[index]
    for index, (name, item) in enumerate(zip(becomes, new, strict=True)):
        if name in was:
            _merge(node, index, old[was.index(name)], item)
        else:
            node.insert(index, _laid_out(item))
            _style([node[index]], _neighbour_style(node, index))


def _neighbour_style(node: Any, index: int) -> bool:
    near = [node[i] for i in (index - 1, index + 1) if 0 <= i < len(node)]
    return bool(near and hasattr(near[0], "fa") and near[0].fa.flow_style())


def _style(nodes: Any, on_one_line: bool | None) -> None:
    for entry in nodes if on_one_line else ():
        if hasattr(entry, "fa"):
            entry.fa.set_flow_style()


def _are_blocks(old: list[Any], new: list[Any]) -> bool:
    return all(isinstance(item, Mapping) for item in (*old, *new))


def _name(item: Mapping[str, Any]) -> tuple[str, str]:
    key = next((key for key in _IDENTITY if item.get(key) is not None), "")
    return key, str(item.get(key))


def _laid_out(value: Any, key: Any = None) -> Any:
    """Plain data as ruamel containers; lists of plain values and short blocks on one line, whole floats as integers."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, dict):
        ordered = sorted(value, key=lambda name: name in _LAST)  # stable: the value first, then where it is from
        block = CommentedMap((name, _laid_out(value[name], name)) for name in ordered)
        if key in _ONE_LINE:
            block.fa.set_flow_style()
        return block
    if isinstance(value, list):
        items = CommentedSeq(_laid_out(item, key) for item in value)
        if all(not isinstance(item, dict | list) for item in value):
            items.fa.set_flow_style()
        return items
    return int(value) if isinstance(value, float) and value.is_integer() else value


def without_empty(value: Any) -> Any:
    """A dump without what says nothing: empty lists, and null except in `parent` and after a source."""
    if isinstance(value, dict):
        kept = {key: without_empty(inner) for key, inner in value.items()}
        telling = {"parent", "additives", *({"verified_by"} if kept.get("source") is not None else ())}
        return {key: inner for key, inner in kept.items() if key in telling or (inner is not None and inner != [])}
    return [without_empty(item) for item in value] if isinstance(value, list) else value
