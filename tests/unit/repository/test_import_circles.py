"""No Python module imports another that leads back to it.

Every import counts: at the top of a module, inside a function, and under
`TYPE_CHECKING`. Two modules that name each other can only be read and tested
together, whenever the import runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.circles import Graph, circles

ROOT = Path(__file__).parents[3]
# The folders that hold top-level packages.
SOURCES = [
    *ROOT.glob("packages/*/src"),
    *ROOT.glob("packages/*/python"),
    *ROOT.glob("services/*/src"),
    ROOT / "benchmarks",
]
PACKAGES = {
    "fluxqueue",
    "fluxqueue_control",
    "fluxqueue_core",
    "fluxqueue_dashboard",
    "fluxqueue_scheduler",
    "fluxqueue_worker",
}

Modules = dict[str, Path]


def modules_below(folder: Path) -> Modules:
    """The modules of the packages in a folder, by their dotted names."""
    found: Modules = {}
    for file in sorted(folder.glob("*/**/*.py")):
        parts = file.relative_to(folder).with_suffix("").parts
        if not (folder / parts[0] / "__init__.py").exists():
            continue
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports_of(name: str, file: Path, modules: Modules) -> Iterator[str]:
    """The modules among `modules` that the module imports, wherever it does."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                # `from package import module` imports the module, not the package's names.
                submodule = f"{base}.{alias.name}"
                if submodule in modules:
                    yield submodule
                elif base in modules:
                    yield base


def graph_of(modules: Modules) -> Graph:
    """Which modules each module imports."""
    return {name: set(imports_of(name, file, modules)) - {name} for name, file in modules.items()}


def test_no_modules_import_each_other() -> None:
    modules = {name: file for folder in SOURCES for name, file in modules_below(folder).items()}
    assert {name.partition(".")[0] for name in modules} >= PACKAGES
    found = circles(graph_of(modules))
    assert not found, "\n".join(["these modules import each other:", *map(" ".join, found)])


ABOVE = "from . import below\n"
BACK = {
    "at the top": "from .above import name\n",
    "by its full name": "import planted.above\n",
    "for types": "if TYPE_CHECKING:\n    from .above import name\n",
    "in a function": "def f():\n    from planted import above\n",
    "by way of a third": "from .inner.third import name\n",
}


@pytest.mark.parametrize("how", BACK)
def test_a_planted_circle_is_found(tmp_path: Path, how: str) -> None:
    package = tmp_path / "planted"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("")
    (package / "inner" / "third.py").write_text("from ..above import name\n")
    (package / "above.py").write_text(ABOVE)
    (package / "below.py").write_text(BACK[how])
    through = ["planted.inner.third"] if how == "by way of a third" else []
    expected = [["planted.above", "planted.below", *through]]
    assert circles(graph_of(modules_below(tmp_path))) == expected


def test_imports_in_one_direction_make_no_circle(tmp_path: Path) -> None:
    package = tmp_path / "planted"
    package.mkdir()
    (package / "__init__.py").write_text("from .above import name\n")
    (package / "above.py").write_text("import os\nfrom . import below\nname = below\n")
    (package / "below.py").write_text("from os import path\n")
    graph = graph_of(modules_below(tmp_path))
    assert graph == {
        "planted": {"planted.above"},
        "planted.above": {"planted.below"},
        "planted.below": set(),
    }
    assert circles(graph) == []
