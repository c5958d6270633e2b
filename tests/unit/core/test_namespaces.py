"""Where a namespace comes from, and that all code of the product passes it on."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from fluxqueue import ConfigurationError, FluxQueue
from fluxqueue_core import Producer, Settings, check_namespace, key, script_keys

ROOT = Path(__file__).parents[3]
VARIABLE = "FLUXQUEUE_NAMESPACE"
# The functions of the core that take a namespace, and its place among the arguments. A
# call that leaves it out means the default one.
TAKING = {"key": 4, "script_keys": 5, "Route": None}


def test_an_argument_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert Settings().namespace == Producer(Settings()).namespace == ""
    monkeypatch.setenv(VARIABLE, " shop\n")
    assert Settings().namespace == Producer(Settings()).namespace == "shop"
    # The URL is given, the namespace is not.
    assert FluxQueue("redis://h").settings.namespace == "shop"
    assert FluxQueue(namespace="blog").settings.namespace == "blog"
    assert FluxQueue(namespace="").settings.namespace == ""
    monkeypatch.setenv(VARIABLE, " ")
    assert Settings().namespace == ""


def test_a_wrong_name_is_an_error_that_says_what_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a:b", "a b", "a*", "{a}", "größe", "x" * 65, "\udcff"):
        for take in (check_namespace, lambda name: FluxQueue(namespace=name)):
            with pytest.raises(ConfigurationError, match=r"letters, digits and \. _ -"):
                take(name)
        with pytest.raises(ConfigurationError):
            key("pending", "q", namespace=name)
    wrong: Any = 7
    with pytest.raises(TypeError, match="namespace must be a str or None, not int"):
        FluxQueue(namespace=wrong)
    monkeypatch.setenv(VARIABLE, "a/b")
    with pytest.raises(ConfigurationError, match=r"variable FLUXQUEUE_NAMESPACE: .*'/'"):
        FluxQueue()


def test_the_objects_show_their_namespace() -> None:
    assert repr(FluxQueue("redis://h", namespace="")) == "FluxQueue('redis://h:6379/0')"
    shop = FluxQueue("redis://h", namespace="shop")
    assert repr(shop) == "FluxQueue('redis://h:6379/0', namespace='shop')"


def test_the_scripts_of_a_namespace_have_its_keys() -> None:
    in_default = script_keys("open", "q", "new", ["old"])
    in_shop = script_keys("open", "q", "new", ["old"], "shop")
    assert in_shop == [name.replace("fluxqueue:", "fluxqueue.shop:") for name in in_default]


def leaving_it_out(text: str) -> list[int]:
    """The lines with a call of the core that names no namespace."""
    tree = ast.parse(text)
    imported = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "fluxqueue_core"
        for alias in node.names
    }
    lines = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        function = imported.get(node.func.id, "")
        most = TAKING.get(function, 0)
        given = any(word.arg == "namespace" for word in node.keywords)
        if function in TAKING and not given and (most is None or len(node.args) < most):
            lines.append(node.lineno)
    return lines


def test_every_key_of_the_product_has_a_namespace() -> None:
    files = [*ROOT.glob("packages/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]
    assert len(files) > 80
    found = {file.name: leaving_it_out(file.read_text()) for file in files}
    assert {name: lines for name, lines in found.items() if lines} == {}
    example = (
        "from fluxqueue_core import Route as R, key\nkey('queues')\nR('q', 't', max_retries=1)\n"
        "key('queues', namespace=n)\nR('q', 't', namespace=n)\nkey('dead', q, '', n)\nself.key(1)"
    )
    assert leaving_it_out(example) == [2, 3]
