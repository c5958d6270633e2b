"""The shop's page: plain HTML, which works even without its script."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape

from .orders import SIDE_STEP, STEPS, Order, Step
from .tasks import CARDS
from .traces import trace_url

ITEMS = ("Teapot", "Kettle", "Cup", "Biscuits")

_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The Tea Shop</title>
<link rel="stylesheet" href="/static/shop.css">
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<script src="/static/shop.js" defer></script>
</head>
<body>
<header>
<h1>The Tea Shop</h1>
<p>Every order is a chain of tasks: one is retried, one is slow, and one always fails.</p>
</header>
<main>
<section aria-labelledby="order-heading">
<h2 id="order-heading">Order</h2>
{notice}
<form method="post" action="/">
<div class="field"><label for="customer">Your name</label>
<input id="customer" name="customer" required maxlength="60" autocomplete="name"></div>
<div class="field"><label for="item">Item</label>
<select id="item" name="item">{items}</select></div>
<div class="field"><label for="quantity">Quantity <small>(a second each to pack)</small></label>
<input id="quantity" name="quantity" type="number" min="1" max="20" value="3" required></div>
<div class="field"><label for="card">Your card</label>
<select id="card" name="card">{cards}</select></div>
<button type="submit">Place the order</button>
</form>
</section>
<section aria-labelledby="recent-heading">
<h2 id="recent-heading">Recent orders</h2>
<div id="recent">{orders}</div>
</section>
</main>
</body>
</html>
"""


def render(orders: Sequence[Order], *, placed: int | None = None, problem: str = "") -> str:
    """Returns the whole page.

    Args:
        placed: the number of the order that was just placed.
        problem: why an order was not taken.
    """
    notice = ""
    if problem:
        notice = f'<p class="notice problem" role="alert">{escape(problem)}</p>'
    elif placed is not None:
        notice = f'<p class="notice" role="status">Thank you! Your order is number {placed}.</p>'
    return _DOCUMENT.format(
        notice=notice,
        items="".join(f"<option>{escape(item)}</option>" for item in ITEMS),
        cards="".join(
            f'<option value="{escape(card)}">{escape(text)}</option>'
            for card, text in CARDS.items()
        ),
        orders=render_orders(orders),
    )


def render_orders(orders: Sequence[Order]) -> str:
    """The list of orders."""
    if not orders:
        return '<p class="none">None yet. Place one!</p>'
    return f'<ol class="orders">{"".join(map(_order, orders))}</ol>'


def _order(order: Order) -> str:
    link = trace_url(order.trace_id)
    trace = (
        f'<a class="trace" href="{escape(link)}">Trace<span class="quiet"> of order '
        f"{order.number}</span></a>"
        if link
        else ""
    )
    kind = order.state.replace(" ", "-")
    steps = "".join(_step(name, step) for name, step in order.steps.items())
    who = f"order {order.number} for {escape(order.customer)}, {_ago(order.placed_at)}"
    return (
        f'<li class="order" id="order-{order.number}">'
        f"<h3>{order.quantity} &times; {escape(order.item)} <small>{who}</small></h3>"
        f'<div class="state">{trace}<span class="badge {kind}">{order.state}</span></div>'
        f'<ol class="steps">{steps}</ol></li>'
    )


def _step(name: str, step: Step) -> str:
    text = step.state
    if step.state == "failed" and name == SIDE_STEP:
        text = "given up"
    if step.attempts > 1:
        text += f", attempt {step.attempts}"
    error = f"<em>{escape(step.error)}</em>" if step.error and step.state != "done" else ""
    return (
        f'<li class="step {step.state}"><span class="name">{STEPS[name]}</span> '
        f'<span class="state">{text}</span>{error}</li>'
    )


def _ago(moment: float) -> str:
    seconds = max(int(time.time() - moment), 0)
    if seconds < 5:
        return "just now"
    if seconds < 90:
        return f"{seconds // 5 * 5} s ago"
    return f"{seconds // 60} min ago"
