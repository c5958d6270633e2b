"""Which files of a Rust crate use which others, as their paths say.

A name that a module re-exports counts as a use of the file that defines it, so
a parent module may offer the names of its children. Code for tests does not count.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_NOT_CODE = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | b?r(\#*)".*?"\1 | b?"(?:\\.|[^"\\])*" | b?'(?:\\.[^']*|[^'\\])'""",
    re.DOTALL | re.VERBOSE,
)
_TESTS = re.compile(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))? )?mod \w+ \{")
_TEST_MODULE = re.compile(r"#\[cfg\(test\)\]\s*mod (\w+);")
_CHILD = re.compile(r"\bmod (\w+);")
_USE = re.compile(r"(pub(?:\([^)]*\))? )?\buse ([^;]+);")
_PATH = re.compile(r"(?<![\w:])(?:r#)?\w+(?:\s*::\s*\w+)+")

Module = tuple[str, ...]


class _Use(NamedTuple):
    path: Module
    name: str
    is_public: bool


class _Source(NamedTuple):
    module: Module
    children: set[str]
    uses: list[_Use]
    paths: set[Module]


def used_files(root: Path) -> dict[str, set[str]]:
    """For each file below `root`, by its path there, the files that it uses."""
    sources = _sources(root)
    files = {source.module: name for name, source in sources.items()}
    exported = {
        (*source.module, use.name): _absolute(source, use.path)
        for source in sources.values()
        for use in source.uses
        if use.is_public
    }
    graph: dict[str, set[str]] = {name: set() for name in sources}
    for name, source in sources.items():
        for path in {use.path for use in source.uses} | source.paths:
            module = _definer(_absolute(source, path), files, exported)
            if module is not None and files[module] != name:
                graph[name].add(files[module])
    return graph


def _sources(root: Path) -> dict[str, _Source]:
    texts = {
        str(path.relative_to(root)): _NOT_CODE.sub('""', path.read_text())
        for path in sorted(root.rglob("*.rs"))
    }
    for_tests = {
        (*_module(name), child)
        for name, text in texts.items()
        for child in _TEST_MODULE.findall(text)
    }
    return {
        name: _read(_module(name), _without_tests(text))
        for name, text in texts.items()
        if _module(name) not in for_tests
    }


def _without_tests(code: str) -> str:
    """The code without its inline modules of tests. `code` has no comments and no text, so
    each brace in it counts."""
    kept = []
    while found := _TESTS.search(code):
        kept.append(code[: found.start()])
        depth, end = 1, found.end()
        while depth and end < len(code):
            depth += (code[end] == "{") - (code[end] == "}")
            end += 1
        code = code[end:]
    return "".join([*kept, code])


def _module(file: str) -> Module:
    parts = Path(file).with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts


def _read(module: Module, code: str) -> _Source:
    uses = [
        _Use(path, name, bool(public))
        for public, tree in _USE.findall(code)
        for path, name in _leaves((), tree.strip())
    ]
    paths = {tuple(re.split(r"\s*::\s*", path)) for path in _PATH.findall(_USE.sub("", code))}
    return _Source(module, set(_CHILD.findall(code)), uses, paths)


def _leaves(prefix: Module, tree: str) -> list[tuple[Module, str]]:
    """The paths of a `use`, each with the name that it gets here."""
    head, brace, rest = tree.partition("{")
    segments = tuple(part.strip() for part in head.split("::") if part.strip())
    if not brace:
        path, _, alias = head.partition(" as ")
        segments = tuple(part.strip() for part in path.split("::") if part.strip())
        if segments[-1] == "self":
            segments = segments[:-1]
        full = prefix + segments
        return [(full, alias.strip() or full[-1])]
    inner = rest.rsplit("}", 1)[0]
    return [leaf for item in _items(inner) for leaf in _leaves(prefix + segments, item)]


def _items(text: str) -> list[str]:
    items, depth = [""], 0
    for char in text:
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            items.append("")
        else:
            items[-1] += char
    return [item.strip() for item in items if item.strip()]


def _absolute(source: _Source, path: Module) -> Module | None:
    """The path from the crate's root; None if it leads out of the crate."""
    first, rest = path[0], path[1:]
    if first == "crate":
        return rest
    if first == "self":
        return source.module + rest
    if first == "super":
        module = source.module[:-1]
        while rest and rest[0] == "super":
            module, rest = module[:-1], rest[1:]
        return module + rest
    return source.module + path if first in source.children else None


def _definer(
    path: Module | None, files: dict[Module, str], exported: dict[Module, Module | None]
) -> Module | None:
    """The module that defines what the path names, past every re-export."""
    seen: set[Module] = set()
    while path is not None:
        length = next((n for n in range(len(path), -1, -1) if path[:n] in files), None)
        if length is None:
            return None
        name = path[: length + 1]
        if length == len(path) or name not in exported or name in seen:
            return path[:length]
        seen.add(name)
        target = exported[name]
        path = None if target is None else target + path[length + 1 :]
    return None
