"""docs/security.md grants what the code asks for, no more and no less.

`tests/integration/test_acl.py` shows the same on a real Redis; this one is quick,
and says which line is to change when a script or the scheduler calls something new.

Why: docs/decisions/0034-least-rights-are-tested.md
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from fluxqueue_core import script, script_names
from support import acl

ROOT = Path(__file__).parents[3]
SCHEDULER = ROOT / "services/scheduler/src/fluxqueue_scheduler"
CONTROL = ROOT / "packages/fluxqueue-control/src/fluxqueue_control"
# The greeting of a connection: the core's, and redis-py's with a name for `CLIENT LIST`.
GREETING = {
    "client": {"select"},
    "client-options": {"select"},
    "worker": {"select"},
    "scheduler": {"select", "client|setname"},
}
PLAIN = {
    "client": {"lpush"},
    "client-options": {"lpush", "eval", "evalsha"},
    "worker": {"eval", "evalsha", "blmove", "sadd"},
    "scheduler": {"evalsha", "script|load"},
}
WORKER_SCRIPTS = {"open", "exchange"}
# Only a client whose calls have options needs the right to call the first, and one that
# cancels tasks the second.
CLIENT_SCRIPTS = {"enqueue", "enqueue_unique", "cancel"}
# Only tools of an operator call these; tests/integration/test_acl_operator.py reads their rights.
OPERATOR_SCRIPTS = {*("delete", "find", "group_dead", "operate", "requeue", "search", "transfer")}
# The page adds this for the calls of `on_failure`.
FOR_CALLBACKS = {"lpush"}
# The part of `enqueue` for calls with priorities.
WITH_PRIORITIES = {"exists", "lindex", "rpop", "rpush", "zrange", "zremrangebyrank"}
# A block of the page for results adds these, and those for a cluster.
FOR_RESULTS = {"set", "publish", "spublish"}
# A block of the page for limits adds these, for the roles that do not have them anyway; and the
# rest is of the functions for limits that the role does not reach.
FOR_LIMITS = {
    "worker": {"lmove", "lpush", "zcard", "zcount"} | {"hlen", "hscan", "zrangebyscore"},
    "scheduler": {"zcount", "hgetall", "zremrangebyscore"},
}
# Only workers reach these: they have a grace for messages of newer versions.
WITH_A_GRACE = {"pexpire", "zremrangebyscore"}
# A block of the page for the exporter adds these; tests/integration/test_acl_exporter.py runs with
# them.
FOR_EXPORTER = {"set", "hgetall", "zcount"}
# The page adds these for a cluster.
IN_A_CLUSTER = {"cluster"}
# The part of `open` that the scheduler reaches: it ends unknown consumers.
OPEN_OF_SCHEDULER = {"zscore", "time", "zadd", "hdel"}

_FUNCTION = re.compile(r"^local function (\w+)\(.*?^end$", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"redis\.p?call\('(\w+)'")


def called(text: str) -> set[str]:
    """The commands that a script calls, with the functions of its parts that it uses."""
    functions = {found[1]: found[0] for found in _FUNCTION.finditer(text)}
    rest = _FUNCTION.sub("", text)
    commands, unseen = set(), {"": rest}
    seen: set[str] = set()
    while unseen:
        name, body = unseen.popitem()
        seen.add(name)
        commands |= {command.lower() for command in _CALL.findall(body)}
        body = re.sub(r"^local function \w+", "", body)
        used = {word for word in re.findall(r"\b\w+\b", body) if word in functions}
        unseen |= {word: functions[word] for word in used - seen}
    return commands


def of_scripts(role: str) -> set[str]:
    if role == "client":
        return set()
    if role == "client-options":
        return called(script("enqueue")) - WITH_PRIORITIES
    if role == "worker":
        return (
            set().union(*(called(script(name)) for name in WORKER_SCRIPTS))
            - FOR_RESULTS
            - FOR_CALLBACKS
            - FOR_LIMITS[role]
        )
    not_here = {*WORKER_SCRIPTS, *CLIENT_SCRIPTS, *OPERATOR_SCRIPTS}
    others = [called(script(name)) for name in script_names() if name not in not_here]
    assert called(script("open")) >= OPEN_OF_SCHEDULER
    return OPEN_OF_SCHEDULER.union(*others) - WITH_A_GRACE - FOR_RESULTS - FOR_LIMITS[role]


def imported_from_control(file: Path) -> set[Path]:
    """The modules of the control plane that a file imports itself."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            package, _, module = (node.module or "").partition(".")
            if node.level and file.parent == CONTROL:
                module = package
            elif node.level or package != CONTROL.name:
                continue
            names |= {module} if module else {alias.name for alias in node.names}
    return {CONTROL / f"{name}.py" for name in names}


def scheduler_modules() -> set[Path]:
    """The scheduler's modules, and those of the control plane that they import."""
    found: set[Path] = set()
    unseen = set(SCHEDULER.rglob("*.py"))
    while unseen:
        found |= unseen
        unseen = set().union(*map(imported_from_control, unseen)) - found
    return found


# The scheduler does without these rights.
OPTIONAL = ("CLIENT", "INFO")
# AUTH needs no right.
NEVER_GRANTED = ("AUTH", "SCRIPT")


def of_scheduler_source() -> set[str]:
    """The plain commands that the scheduler's modules name."""
    source = "".join(file.read_text() for file in scheduler_modules())
    words = set(re.findall(r'\(\s*"([A-Z]{3,})"', source)) - {*NEVER_GRANTED, *OPTIONAL}
    return {word.lower() for word in words} - IN_A_CLUSTER - FOR_EXPORTER


def test_the_scheduler_uses_a_part_of_the_control_plane() -> None:
    used = {file.stem for file in scheduler_modules() if file.parent == CONTROL}
    assert used >= {"connect", "errors", "queues", "redis_client", "registry", "topology"}
    assert "dead" not in used, "the scheduler's rights would have to grow"


@pytest.mark.parametrize("version", acl.VERSIONS)
@pytest.mark.parametrize("role", acl.ROLES)
def test_a_role_is_granted_what_its_code_calls(role: str, version: str) -> None:
    wanted = GREETING[role] | PLAIN[role] | of_scripts(role)
    if role == "scheduler":
        wanted |= of_scheduler_source()
    assert acl.commands(acl.lines(version)[role]) == wanted


@pytest.mark.parametrize("version", acl.VERSIONS)
@pytest.mark.parametrize("role", acl.ROLES)
def test_nothing_is_granted_by_category(role: str, version: str) -> None:
    rules = " ".join(acl.lines(version)[role])
    assert "-@all" in rules
    assert not re.search(r"\+@|allcommands|allkeys|nopass|~\*|&\*", rules)
