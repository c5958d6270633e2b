"""Each option has one home, `fluxqueue.options`: what a new one costs, and where it shows."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import fluxqueue as package
import pytest
from fluxqueue import ConfigurationError, FluxQueue
from fluxqueue.options import TaskOptions, Terms
from fluxqueue_core import Route
from fluxqueue_worker.registered_task import RegisteredTask
from support.option_table import option_table

ROOT = Path(__file__).parents[3]
SOURCE = Path(package.__file__).parent
DECORATORS = ["task", "task_with_context"]


def work(number: int) -> None: ...


def test_every_option_has_a_term_of_the_same_type() -> None:
    terms = {each.name: each.type for each in fields(Terms)}
    del terms["max_retries"]  # a parameter of the decorators, as `name` and `queue` are
    declared = inspect.get_annotations(TaskOptions)
    assert {name: kind.__forward_arg__ for name, kind in declared.items()} == terms


def test_terms_can_not_be_changed() -> None:
    task = FluxQueue().task(timeout=5)(work)
    with pytest.raises(FrozenInstanceError):
        task.terms.timeout = 6.0  # type: ignore[misc]
    with pytest.raises(AttributeError):
        task.timeout = 6.0  # type: ignore[misc]


def test_client_and_worker_share_one_record() -> None:
    task = FluxQueue().task(max_retries=7, retry_delay=2, timeout=5)(work)
    assert task.terms == Terms(7, retry_delay=2, timeout=5)
    assert RegisteredTask(task).terms is task.terms


def test_a_route_takes_every_option_that_is_sent() -> None:
    sent = Terms(7, retry_delay=2, timeout=5).sent()
    assert sent == {
        "max_retries": 7,
        "timeout": 5,
        "expires": None,
        "priority": 0,
        "result_ttl": None,
        "on_failure": None,
    }
    of_route = Route("q", "t", **sent).terms
    assert {name: of_route[name] for name in sent} == sent


@pytest.mark.parametrize(
    ("cap", "kind", "said"),
    [
        (0, ConfigurationError, "max_per_worker is 0; give 1 to 999999, or None for no cap"),
        (1_000_000, ConfigurationError, "give 1 to 999999"),
        (True, TypeError, "max_per_worker must be an int or None, not bool"),
        ("2", TypeError, "max_per_worker must be an int or None, not str"),
    ],
)
def test_another_cap_is_refused(cap: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        FluxQueue().task(max_per_worker=cap)
    assert FluxQueue().task(max_per_worker=2)(work).terms.max_per_worker == 2


@pytest.mark.parametrize("priority", range(10))
def test_a_priority_is_0_to_9(priority: int) -> None:
    assert FluxQueue().task(priority=priority)(work).terms.priority == priority


@pytest.mark.parametrize(
    ("priority", "kind", "said"),
    [
        (10, ConfigurationError, "priority is 10; give 0 (the lowest) to 9"),
        (-1, ConfigurationError, "priority is -1; give 0 (the lowest) to 9"),
        (True, TypeError, "priority must be an int, not bool"),
        (5.0, TypeError, "priority must be an int, not float"),
        ("high", TypeError, "priority must be an int, not str"),
        (None, TypeError, "priority must be an int, not NoneType"),
    ],
)
def test_another_priority_is_refused(priority: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as caught:
        FluxQueue().task(priority=priority)
    assert str(caught.value) == said


def test_a_route_has_the_default_of_each_term() -> None:
    of_route = Route("q", "t").terms
    assert {name: of_route[name] for name in Terms(3).sent()} == Terms(3).sent()


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"colour": 1}, 'a route has no term "colour"; it takes max_retries, timeout'),
        ({"\ud800": 1}, 'a route has no term "\ufffd\ufffd\ufffd"; it takes max_retries, timeout'),
        ({"max_retries": "3"}, "max_retries: 'str' object cannot be interpreted as an integer"),
        ({"max_retries": None}, "max_retries: 'NoneType' object cannot be interpreted as an "),
        ({"timeout": "soon"}, "timeout: must be real number, not str"),
    ],
)
def test_a_term_that_a_route_does_not_take_is_named(terms: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError) as caught:
        Route("q", "t", **terms)
    assert str(caught.value).startswith(said)


# Python prints ints of up to 4,300 digits.
UNPRINTABLE = 10**5_000


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    "name",
    ["max_retries", "retry_delay", "retry_backoff", "retry_max_delay", "timeout", "priority"],
)
def test_an_option_that_can_not_be_printed_is_refused_by_name(name: str, sign: int) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is too large to print; give "):
        FluxQueue().task(**{name: sign * UNPRINTABLE})  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", sorted({*Terms(3).sent()} - {"on_failure"}))
def test_a_route_refuses_a_term_that_no_message_can_carry(name: str) -> None:
    for number, shown in ((UNPRINTABLE, "too large to print"), (10**400, f"1{'0' * 400}")):
        with pytest.raises(ConfigurationError, match=f"^{name} is {shown}; give "):
            Route("q", "t", **{name: number})  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "name", ["connect_timeout", "timeout", "max_message_bytes", "wait_replicas", "wait_timeout"]
)
def test_a_setting_that_can_not_be_printed_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is too large to print; give "):
        FluxQueue(**{name: UNPRINTABLE})  # type: ignore[arg-type]


@pytest.mark.parametrize("decorator", DECORATORS)
def test_the_signature_shows_every_option_with_its_default(decorator: str) -> None:
    for shown in (getattr(FluxQueue, decorator), getattr(FluxQueue(), decorator)):
        parameters = dict(inspect.signature(shown).parameters)
        parameters.pop("self", None)
        defaults = {each.name: each.default for each in fields(Terms)}
        defaults["max_retries"] = 3  # the decorators' own default
        assert [(p.name, p.default) for p in parameters.values()] == [
            ("name", None),
            ("queue", "default"),
            *defaults.items(),
        ]
        keyword_only = [p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
        assert keyword_only == [*TaskOptions.__annotations__]


@pytest.mark.parametrize("decorator", DECORATORS)
def test_help_describes_every_option(decorator: str) -> None:
    text = inspect.getdoc(getattr(FluxQueue, decorator))
    assert text is not None
    _, _, described = text.partition("\nOptions:\n")
    for name in TaskOptions.__annotations__:
        assert f"\n    {name}: " in f"\n{described}"


@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retry_dely": 1}, "has no option 'retry_dely'; did you mean retry_delay?"),
        ({"max_retry": 1}, "has no option 'max_retry'; did you mean max_retries?"),
        ({"time_out": 1, "timeout": 1}, "has no option 'time_out'; did you mean timeout?"),
        ({"xyz": 1}, "has no option 'xyz'; it takes name, queue, max_retries, retry_delay, "),
    ],
)
def test_an_unknown_option_is_named_with_the_closest_known_one(
    decorator: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(FluxQueue(), decorator)(**options)
    assert str(caught.value).startswith(f"{decorator}() {said}")


def test_name_queue_and_max_retries_may_be_positional_and_options_may_not() -> None:
    task = FluxQueue().task("named", "mails", 5)(work)
    assert (task.task_name, task.queue, task.max_retries) == ("named", "mails", 5)
    untyped: Any = FluxQueue()
    with pytest.raises(TypeError, match="takes from 1 to 4 positional arguments but 5 were given"):
        untyped.task("named", "mails", 5, 1.0)


def test_the_page_has_the_table_of_options() -> None:
    page = (ROOT / "docs/task-options.md").read_text()
    assert option_table() in page, f"put this table there:\n{option_table()}"


# A new option takes a line of documentation, its type for type checkers, and its field
# with default and check. Each pair is the line before and the new line.
NEW_OPTION = [
    (
        "        retry_max_delay: the longest delay, in seconds.\n",
        "        shelf_life: seconds after which a task that has not begun is dropped.\n",
    ),
    (
        "    retry_max_delay: float\n",
        "    shelf_life: float | None\n",
    ),
    (
        "    retry_max_delay: float = option(3600.0, check_number(0))\n",
        "    shelf_life: float | None = option(None, check_timeout)\n",
    ),
]
USE = """
import inspect, json, sys
from pathlib import Path
import fluxqueue
from fluxqueue import Context, FluxQueue
from fluxqueue.options import TaskOptions
from fluxqueue_worker.registered_task import RegisteredTask
from support.option_table import option_table

def refusal(**options):
    try:
        FluxQueue().task(**options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

@FluxQueue().task(shelf_life=60)
def work(): ...

@FluxQueue().task_with_context(shelf_life=30)
def with_context(ctx: Context): ...

@FluxQueue().task()
def plain(): ...

print(json.dumps({
    "source": str(Path(fluxqueue.__file__).parent),
    "records": [task.terms.shelf_life for task in (work, with_context, plain)],
    "worker": RegisteredTask(work).terms.shelf_life,
    "refusals": [refusal(shelf_life=-1), refusal(shelf_life="soon"), refusal(shelf_lif=60)],
    "signature": str(inspect.signature(FluxQueue.task).parameters["shelf_life"]),
    "help": inspect.getdoc(FluxQueue.task_with_context),
    "table": option_table(),
}))
"""


def test_a_new_option_is_one_field_one_check_and_one_line_of_docs(tmp_path: Path) -> None:
    copy = tmp_path / "fluxqueue"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    text = (copy / "options.py").read_text()
    for before, new in NEW_OPTION:
        assert text.count(before) == 1
        text = text.replace(before, before + new)
    (copy / "options.py").write_text(text)

    path = os.pathsep.join([str(tmp_path), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", USE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    found = json.loads(done.stdout)

    assert found["source"] == str(copy)
    assert found["records"] == [60, 30, None]
    assert found["worker"] == 60
    wrong, of_wrong_type, misspelt = found["refusals"]
    assert wrong.startswith("ConfigurationError: shelf_life is -1; ")
    assert of_wrong_type.startswith("TypeError: shelf_life must be a number of seconds or None")
    assert misspelt == "TypeError: task() has no option 'shelf_lif'; did you mean shelf_life?"
    assert found["signature"] == "shelf_life: 'float | None' = None"
    assert "    shelf_life: seconds after which a task that has not begun" in found["help"]
    row = (
        "| `shelf_life` | `float \\| None` | `None` | seconds after which a task that has not begun"
    )
    assert row in found["table"]
