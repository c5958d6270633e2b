"""The files in tests/chaos/faults."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.driver import orders
from chaos.fault import ROLES, Fault
from chaos.faults import ORDER, load, names
from chaos.table import table

ROOT = Path(__file__).parents[3]
FILES = {file.stem for file in (ROOT / "tests/chaos/faults").glob("[a-z]*.py")}


def faults() -> dict[str, Fault]:
    return {name: load(name) for name in names()}


def test_every_file_is_a_fault_with_its_place_in_the_table() -> None:
    assert set(names()) == FILES
    assert set(ORDER) == FILES, "add the file to ORDER in faults/__init__.py"


def test_each_has_a_title_and_tells_what_it_does() -> None:
    titles = [fault.title for fault in faults().values()]
    assert len(set(titles)) == len(titles)
    assert all("|" not in title for title in titles)


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_setup_of_a_fault_is_known(name: str) -> None:
    fault = load(name)
    assert fault.setup.proxied <= set(ROLES)
    assert fault.setup.appendfsync in ("always", "everysec")
    assert fault.trials >= 1
    # `mixed` gives proxies to all roles, and nothing else.
    assert not fault.mixes or not fault.setup.tasks


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no fault 'no_such'"):
        load("no_such")


def test_kills_are_shared_out() -> None:
    some = {name: fault for name, fault in faults().items() if fault.kills}
    planned = orders(some | {"redis_hung": load("redis_hung")}, seed=7, kills=100, repeats=3)
    killing = [order for order in planned if order.fault in some]
    assert sum(order.trials for order in killing) >= 100
    assert {order.fault for order in killing} == set(some)
    assert len({(order.fault, order.seed) for order in planned}) == len(planned)
    assert sum(order.fault == "redis_hung" for order in planned) == 3


def test_a_fault_that_was_not_done_has_no_row() -> None:
    assert table(faults(), []).splitlines()[2:] == ["| all | 0 | 0 | 0 | 0 | 0 | - | - |"]
