"""The stack of compose.yaml: what `docker compose` does with it, and the shop's
API and the trace viewer's as seen from outside.

scripts/compose-test starts it and says by environment where it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from .jaeger import Trace
from .waiting import wait_until

# An order may lose its worker, wait for the end of its lease, and begin again.
PATIENCE = 90.0
Order = dict[str, Any]


class Stack:
    """See the module's text."""

    def __init__(self) -> None:
        self.shop_url = f"http://127.0.0.1:{os.environ['SHOP_PORT']}"
        self.viewer_url = f"http://127.0.0.1:{os.environ['JAEGER_PORT']}"

    # Docker

    def compose(self, *arguments: str, timeout: float = 120.0) -> str:
        """`docker compose <arguments>`; returns its output.

        Raises:
            AssertionError: it failed; shows what it said.
        """
        return run("docker", "compose", *arguments, timeout=timeout)

    def up(self, workers: int = 2) -> None:
        """As `docker compose up` leaves it: everything there and healthy."""
        # It gives up at once where something is still unhealthy.
        wait_until(lambda: not self.unhealthy(), what=lambda: f"health of {self.unhealthy()}")
        self.compose("up", "-d", "--wait", "--no-build", "--scale", f"worker={workers}")

    def unhealthy(self) -> list[str]:
        """The names of the containers that run and do not work."""
        names = self.compose("ps", "--format", "{{.Name}} {{.Health}}").splitlines()
        return [line.split()[0] for line in names if line.endswith(" unhealthy")]

    def containers(self, service: str) -> list[str]:
        """Their ids, also of those that have ended."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def inspect(self, container: str) -> dict[str, Any]:
        """The output of `docker inspect`."""
        (found,) = json.loads(run("docker", "inspect", container))
        answer: dict[str, Any] = found
        return answer

    def execute(self, container: str, *command: str) -> str:
        """Runs a command inside; returns its output."""
        return run("docker", "exec", container, *command)

    # The shop

    def place(self, *, card: str = "good", quantity: int = 1, customer: str = "Ada") -> int:
        """Places an order, and returns its number."""
        body = {"customer": customer, "card": card, "quantity": quantity}
        answer = get_json(f"{self.shop_url}/orders", body)
        number: int = answer["number"]
        return number

    def order(self, number: int) -> Order:
        """The order as the shop tells of it."""
        found: Order = get_json(f"{self.shop_url}/orders/{number}")
        return found

    def wait_for(
        self, numbers: Iterable[int], condition: Callable[[Order], bool], what: str
    ) -> list[Order]:
        """Waits until the condition holds for all these orders; returns them."""
        numbers = list(numbers)
        orders: list[Order] = []

        def hold() -> bool:
            orders[:] = [self.order(number) for number in numbers]
            return all(map(condition, orders))

        def missing() -> str:
            left = [order for order in orders if not condition(order)]
            return f"{what} (not so: {json.dumps(left)[:2000]})"

        wait_until(hold, PATIENCE, missing)
        return orders

    def wait_for_ends(self, numbers: Iterable[int]) -> list[Order]:
        """Waits until nothing happens to these orders any more."""
        return self.wait_for(numbers, lambda order: bool(order["at_its_end"]), "the orders' end")

    # The trace viewer

    def trace(self, trace_id: str) -> Trace:
        """The part of a trace that the viewer has by now."""
        try:
            return Trace(get_json(f"{self.viewer_url}/api/v3/traces/{trace_id}"))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return Trace({})
            raise

    def traces_with(self, service: str, operation: str) -> Trace:
        """The newest traces with such a span."""
        now = datetime.now(UTC)
        query = {
            "query.service_name": service,
            "query.operation_name": operation,
            "query.start_time_min": (now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "query.start_time_max": (now + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "query.num_traces": 50,
        }
        url = f"{self.viewer_url}/api/v3/traces?{urllib.parse.urlencode(query)}"
        try:
            return Trace(get_json(url))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return Trace({})
            raise

    def wait_for_trace(self, trace_id: str, condition: Callable[[Trace], bool]) -> Trace:
        """Waits until the trace has all that belongs into it: processes export
        a few seconds after the fact."""
        wait_until(
            lambda: condition(self.trace(trace_id)),
            PATIENCE,
            lambda: f"the whole trace (there is: {self.trace(trace_id)})",
        )
        return self.trace(trace_id)


def run(*command: str, timeout: float = 120.0) -> str:
    """The output of a command that has to succeed."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}"
    return done.stdout


def get_json(url: str, body: object = None) -> Any:
    """Returns the answer to a GET, or to a POST if there is a body.

    Raises:
        urllib.error.HTTPError: the status is an error's.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)
