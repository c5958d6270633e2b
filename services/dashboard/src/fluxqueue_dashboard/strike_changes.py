"""The changes of an operator to strikes: add one, and lift one."""

from __future__ import annotations

from collections.abc import Mapping

from fluxqueue_control import strikes
from fluxqueue_control.servers import Servers
from fluxqueue_control.strikes import Strike
from fluxqueue_core.errors import ConfigurationError

from .change_parts import Change, Done, Operator, queue_of
from .forms import Form
from .job_changes import value_of

_PAGE = "/strikes"


def _add(servers: Servers, operator: Operator, form: Form) -> Done:
    queue, task = queue_of(form), form.one("task").strip()
    argument, equals, text = form.text("argument").partition("=")
    argument = argument.strip()
    if not task or bool(argument) != bool(equals):
        return Done("strike-wrong", _PAGE, {})
    rule = Strike(task, argument, value_of(text)) if argument else Strike(task)
    try:
        answer = strikes.strike(servers.of_queue(queue), queue, rule)
    except ConfigurationError:
        return Done("strike-wrong", _PAGE, {})
    return Done("struck" if answer == "struck" else "struck-before", _PAGE, {})


def _lift(servers: Servers, operator: Operator, form: Form) -> Done:
    queue = queue_of(form)
    was_there = strikes.lift(servers.of_queue(queue), queue, form.one("id"))
    return Done("lifted" if was_there else "no-strike", _PAGE, {})


STRIKE_CHANGES: Mapping[str, Change] = {"strike": _add, "lift": _lift}
