"""YAML text -> a tree whose every node knows its line and key path, scalars exactly as written.

PyYAML is used for its scanner and composer only: its constructors would turn ``0.1`` into a binary
float, ``NO`` into False and ``010`` into 8. Its pure Python composer is used on purpose: the one in
C overflows the stack on deep nesting instead of raising.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from bidder.config.problems import Problems, one_line

MAX_BYTES: Final = 256 * 1024
_MAX_DEPTH: Final = 32
_MAX_NODES: Final = 50_000

_STANDARD = "tag:yaml.org,2002:"
_SCALAR_TAGS = {
    _STANDARD + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "value")
}
_CONTROL = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One value as text; ``kind`` is what YAML takes it for when nothing is asked of it."""

    text: str
    kind: str  # str, int, float, bool, null, timestamp, value
    plain: bool  # not quoted
    line: int
    path: str

    @property
    def is_null(self) -> bool:
        """Return whether nothing stands there."""
        return self.kind == "null" and self.plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A mapping."""

    entries: Mapping[str, "Node"]
    key_lines: Mapping[str, int]
    line: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list."""

    items: tuple["Node", ...]
    line: int
    path: str


Node = Scalar | Branch | Items


class _Stop(Exception):
    """The tree is too deep or too large to go on."""

    def __init__(self, problem: str, line: int, path: str = "") -> None:
        super().__init__(problem)
        self.problem, self.line, self.path = problem, line, path


def parse(raw: bytes, problems: Problems) -> Branch | None:
    """Return the file's mapping, or None after noting what keeps it from being read."""
    text = _decoded(raw, problems)
    if text is None:
        return None
    root = _composed(text, problems)
    if root is None:
        return None
    if not isinstance(root, yaml.MappingNode):
        problems.add(
            "the file is not a mapping of keys to values",
            line=root.start_mark.line + 1,
            remedy="start from config.example.yaml",
        )
        return None
    try:
        tree = _Converter(problems).convert(root, "", 0)
    except _Stop as stop:
        problems.add(stop.problem, line=stop.line, key=stop.path or None, remedy="write it out flat")
        return None
    return tree if isinstance(tree, Branch) else None


def _decoded(raw: bytes, problems: Problems) -> str | None:
    if len(raw) > MAX_BYTES:
        problems.add(
            f"the file is larger than {MAX_BYTES // 1024} KiB", remedy="is this the configuration file?"
        )
        return None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in raw[:4]:
        problems.add("the file is not UTF-8 text", line=1, remedy="save it as UTF-8")
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        problems.add("the file is not UTF-8 text", line=line, remedy="save it as UTF-8")
        return None
    control = _CONTROL.search(text)
    if control:
        problems.add(
            f"the control character U+{ord(control[0]):04X} does not belong in a text file",
            line=text.count("\n", 0, control.start()) + 1,
            remedy="remove it",
        )
        return None
    return text


class _Loader(yaml.SafeLoader):
    """Composes only, and not without end."""

    _depth = 0
    _nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        self._nodes += 1
        if self._depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            word = "deeply nested" if self._depth > _MAX_DEPTH else "large"
            raise _Stop(f"the file is too {word}", self.line + 1)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _composed(text: str, problems: Problems) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
        finally:
            loader.dispose()
    except _Stop as stop:
        problems.add(stop.problem, line=stop.line, remedy="write it out flat")
        return None
    except yaml.MarkedYAMLError as exc:
        _note_syntax(exc, problems)
        return None
    # What PyYAML lets through on hostile text: broken escapes and %YAML lines end in ValueError,
    # odd tags in AttributeError or IndexError.
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError, LookupError, TypeError):
        problems.add("the file is not YAML", remedy="compare it with config.example.yaml")
        return None
    if node is None:
        problems.add("the file is empty", remedy="start from config.example.yaml")
    return node


def _note_syntax(exc: yaml.MarkedYAMLError, problems: Problems) -> None:
    mark = exc.problem_mark or exc.context_mark
    line = None if mark is None else mark.line + 1
    # The scanner quotes what it stumbled over, and that may be a piece of a password.
    said = _QUOTED.sub(_unless_harmless, one_line(exc.problem or "")) or "it cannot be read"
    remedy = "mend the indentation or the quotes near this line"
    if "\\t" in said:
        remedy = "indent with spaces, never with tabs"
    elif "alias" in said:
        remedy = "define the anchor first, or put the value in quotes"
    elif "single document" in (exc.context or ""):
        said, remedy = "a second document begins here", "keep one document and remove the '---'"
    elif "mapping values are not allowed" in said:
        remedy = "a value with ': ' in it belongs in quotes; else mend the indentation"
    problems.add(f"broken YAML: {said}", line=line, remedy=remedy)


def _unless_harmless(quoted: re.Match[str]) -> str:
    inside = quoted[1] or quoted[2] or ""
    is_token = inside.startswith("<") and inside.endswith(">")  # PyYAML's own word, '<block end>'
    return quoted[0] if is_token or len(inside.replace("\\", "")) <= 1 else "'…'"


class _Converter:
    """Expands aliases and merges within a budget, so that a short file cannot become a huge tree."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._budget = _MAX_NODES

    def convert(self, node: yaml.Node, path: str, depth: int) -> Node:
        line = node.start_mark.line + 1
        self._budget -= 1
        if depth > _MAX_DEPTH or self._budget < 0:
            raise _Stop("aliases make this endless or too large", line, path)
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, {_STANDARD + "map"}, path)
            return self._branch(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, {_STANDARD + "seq"}, path)
            children = tuple(
                self.convert(child, f"{path}[{i}]", depth + 1) for i, child in enumerate(node.value)
            )
            return Items(items=children, line=line, path=path)
        self._check_tag(node, _SCALAR_TAGS, path)
        return Scalar(
            text=node.value,
            kind=node.tag.removeprefix(_STANDARD),
            plain=getattr(node, "style", None) is None,
            line=line,
            path=path,
        )

    def _check_tag(self, node: yaml.Node, allowed: set[str], path: str) -> None:
        if node.tag not in allowed:
            self._problems.add(
                "YAML tags are not understood",
                line=node.start_mark.line + 1,
                key=path or None,
                remedy="remove the tag that starts with '!'",
            )

    def _branch(self, node: yaml.MappingNode, path: str, depth: int) -> Branch:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _STANDARD + "merge":
                merged.append(value_node)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._problems.add(
                    "a key must be a single word", line=line, key=path or None, remedy="put it in quotes"
                )
                continue
            key = str(key_node.value)
            full = f"{path}.{key}" if path else key
            if key in entries:
                self._problems.add(
                    "this key stands here twice",
                    line=line,
                    key=full,
                    remedy=f"keep one; the other is in line {lines[key]}",
                )
                continue
            entries[key] = self.convert(value_node, full, depth + 1)
            lines[key] = line
        for value_node in merged:
            self._merge(value_node, entries, lines, path, depth)
        return Branch(entries=entries, key_lines=lines, line=node.start_mark.line + 1, path=path)

    def _merge(
        self,
        node: yaml.Node,
        entries: dict[str, Node],
        lines: dict[str, int],
        path: str,
        depth: int,
    ) -> None:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._problems.add(
                    "'<<' merges mappings only",
                    line=node.start_mark.line + 1,
                    key=path or None,
                    remedy="point it to an anchor of a mapping",
                )
                continue
            branch = self.convert(source, path, depth + 1)
            if isinstance(branch, Branch):
                for key, value in branch.entries.items():
                    if key not in entries:
                        entries[key] = value
                        lines[key] = branch.key_lines[key]
