"""The shop's web application: a page for people, JSON for programs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from fluxqueue import BrokerUnavailable, EnqueueUncertain
from pydantic import BaseModel, Field, StringConstraints, ValidationError
from redis.exceptions import RedisError

from . import page
from .orders import Order, connect, orders
from .tasks import charge_card
from .traces import current_trace_id, instrument, trace_url

SHOWN = 12

app = FastAPI(title="FluxQueue's example shop")
instrument(app)
app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")


class NewOrder(BaseModel):
    """A customer's order."""

    customer: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
    item: Literal["Teapot", "Kettle", "Cup", "Biscuits"] = "Teapot"
    quantity: Annotated[int, Field(ge=1, le=20)] = 1
    card: Literal["unreliable", "refused-once", "good"] = "unreliable"


class Page(HTMLResponse):
    """A page that loads nothing from other hosts, even if a customer's name is HTML."""

    def __init__(self, content: str, status_code: int = 200) -> None:
        super().__init__(content, status_code, {"Content-Security-Policy": "default-src 'self'"})


@app.exception_handler(RedisError)
def without_redis(request: Request, error: RedisError) -> Response:
    """Asks the client to try again later, because the orders are in Redis."""
    return JSONResponse(
        {"detail": f"Redis does not answer: {error}"}, status_code=503, headers={"Retry-After": "2"}
    )


@app.post("/orders", status_code=202)
async def place_order(order: NewOrder, response: Response) -> dict[str, Any]:
    """Takes an order; the work is done later, by workers."""
    number, trace_id = await place(order)
    response.headers["Location"] = f"/orders/{number}"
    return {"number": number, "trace_id": trace_id, "trace_url": trace_url(trace_id)}


@app.post("/", response_class=Page)
async def place_order_by_form(request: Request) -> Response:
    """The same for the page's form."""
    try:
        order = NewOrder.model_validate(dict(parse_qsl((await request.body()).decode())))
    except (ValidationError, UnicodeDecodeError):
        text = "That order can't be taken: give a name and a quantity from 1 to 20."
        recent = await asyncio.to_thread(orders().recent, SHOWN)
        return Page(page.render(recent, problem=text), status_code=422)
    number, _ = await place(order)
    return RedirectResponse(f"/?placed={number}", status_code=303)


async def place(order: NewOrder) -> tuple[int, str]:
    """Stores the order and enqueues its first task; returns its number and trace id."""
    trace_id = current_trace_id()
    number = await asyncio.to_thread(orders().place, **order.model_dump(), trace_id=trace_id)
    try:
        await charge_card(number, order.card, order.quantity)
    except (BrokerUnavailable, EnqueueUncertain) as error:
        raise HTTPException(503, f"the order could not be passed on: {error}") from error
    return number, trace_id


@app.get("/", response_class=Page)
def show_page(placed: int | None = None) -> Page:
    """The form, and the newest orders."""
    return Page(page.render(orders().recent(SHOWN), placed=placed))


@app.get("/recent", response_class=Page)
def show_recent() -> Page:
    """The newest orders alone, for the page to refresh itself."""
    return Page(page.render_orders(orders().recent(SHOWN)))


@app.get("/orders")
def list_orders(count: Annotated[int, Field(ge=1, le=1000)] = SHOWN) -> list[dict[str, Any]]:
    """The newest orders, newest first."""
    return [as_json(order) for order in orders().recent(count)]


@app.get("/orders/{number}")
def show_order(number: int) -> dict[str, Any]:
    """One order and its progress."""
    order = orders().get(number)
    if order is None:
        raise HTTPException(404, f"there is no order {number}")
    return as_json(order)


@app.get("/livez")
async def live() -> dict[str, str]:
    """The event loop turns."""
    return {"status": "ok"}


@app.get("/readyz")
def ready() -> Response:
    """Redis answers."""
    try:
        with connect(retries=0) as redis:
            redis.ping()
    except RedisError as error:
        reasons = [f"Redis does not answer: {error}"]
        return JSONResponse({"status": "unavailable", "reasons": reasons}, status_code=503)
    return JSONResponse({"status": "ok"})


def as_json(order: Order) -> dict[str, Any]:
    """Returns the order as JSON values."""
    return {
        "number": order.number,
        "state": order.state,
        "at_its_end": order.at_its_end,
        "customer": order.customer,
        "item": order.item,
        "quantity": order.quantity,
        "trace_id": order.trace_id,
        "trace_url": trace_url(order.trace_id),
        "steps": {
            name: {
                "state": step.state,
                "attempts": step.attempts,
                "failures": step.failures,
                "error": step.error,
            }
            for name, step in order.steps.items()
        },
    }
