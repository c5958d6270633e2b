"""Orders come to their end, whatever happens to the containers meanwhile."""

from __future__ import annotations

import time

from support.stack import Order, Stack, run
from support.waiting import wait_until

# The stop_grace_period of compose.yaml.
GRACE = 45.0
SLOTS = 8


def is_packed_now(order: Order) -> bool:
    return bool(order["steps"]["pack"]["state"] == "running")


def failures(order: Order) -> int:
    """Attempts that failed, without the step that always fails."""
    return sum(step["failures"] for name, step in order["steps"].items() if name != "points")


def all_done(orders: list[Order]) -> bool:
    return all(
        order["state"] == "done" and order["steps"]["points"]["state"] == "failed"
        for order in orders
    )


def test_an_order_goes_its_whole_way(stack: Stack) -> None:
    number = stack.place(card="refused-once", quantity=2, customer="Grace <Hopper>")
    (order,) = stack.wait_for_ends([number])
    assert order["state"] == "done" and order["customer"] == "Grace <Hopper>"
    steps = order["steps"]
    assert {name: step["state"] for name, step in steps.items()} == {
        "charge": "done",
        "pack": "done",
        "confirm": "done",
        "points": "failed",
    }
    # Refused, and tried again; never, and given up after two retries.
    assert [steps[name]["attempts"] for name in ("charge", "pack", "points")] == [2, 1, 3]
    assert "refused" in steps["charge"]["error"]


def test_four_workers_share_the_work(stack: Stack) -> None:
    stack.up(workers=4)
    assert len(stack.containers("worker")) == 4
    numbers = [stack.place(quantity=4) for _ in range(4 * SLOTS)]
    # More than two or three workers could run at once.
    stack.wait_for(numbers, is_packed_now, "all orders packed at once")
    assert all_done(stack.wait_for_ends(numbers))


def test_a_worker_is_killed_while_it_works(stack: Stack) -> None:
    numbers = [stack.place(quantity=8) for _ in range(2 * SLOTS)]
    stack.wait_for(numbers, is_packed_now, "every slot of both workers in use")
    run("docker", "kill", "--signal", "KILL", stack.containers("worker")[0])
    orders = stack.wait_for_ends(numbers)
    assert all_done(orders)
    # Those of the dead worker were begun again, and no others.
    begun = [order["steps"]["pack"]["attempts"] for order in orders]
    assert sorted(set(begun)) == [1, 2] and begun.count(2) == SLOTS
    assert sum(map(failures, orders)) == 0

    # The trace shows the attempt that came after the loss, and who gave it back.
    rescued = next(order for order in orders if order["steps"]["pack"]["attempts"] == 2)
    trace = stack.wait_for_trace(
        rescued["trace_id"], lambda t: bool(t.named("process default", "pack_parcel", deliveries=1))
    )
    attempt = trace.one("process default", "pack_parcel")
    assert ("ack default", "pack_parcel") in trace.below(attempt)
    rescues = stack.traces_with("scheduler", "rescue default").named("rescue default")
    assert any(attempt.links[0] in rescue.links for rescue in rescues)


def test_redis_is_restarted_while_orders_are_under_way(stack: Stack) -> None:
    numbers = [stack.place(quantity=5) for _ in range(2 * SLOTS)]
    stack.wait_for(numbers, is_packed_now, "all orders packed")
    stack.compose("restart", "redis")
    orders = stack.wait_for_ends(numbers)
    assert all_done(orders)
    # A restart makes no task run twice.
    assert {order["steps"]["pack"]["attempts"] for order in orders} == {1}


def test_workers_are_stopped_under_load(stack: Stack) -> None:
    numbers = [stack.place(quantity=3) for _ in range(6 * SLOTS)]
    wait_until(
        lambda: sum(is_packed_now(stack.order(number)) for number in numbers) > SLOTS,
        what="more under way than one worker runs",
    )
    begun = time.monotonic()
    stack.compose("stop", "worker")
    assert time.monotonic() - begun < GRACE
    stopped = [stack.inspect(container)["State"] for container in stack.containers("worker")]
    assert [(state["Status"], state["ExitCode"]) for state in stopped] == [("exited", 0)] * 2
    # Running tasks have ended, the others wait, and none is lost.
    assert not any(is_packed_now(stack.order(number)) for number in numbers)
    assert not all(stack.order(number)["at_its_end"] for number in numbers)
    stack.up()
    orders = stack.wait_for_ends(numbers)
    assert all_done(orders)
    assert {order["steps"]["pack"]["attempts"] for order in orders} == {1}
    assert sum(map(failures, orders)) == 0
