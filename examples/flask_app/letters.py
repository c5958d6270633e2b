"""The tasks of the example, and the database that they share with the web application."""

from __future__ import annotations

import sqlite3

from flask import Flask, current_app, g
from fluxqueue import FluxQueue
from fluxqueue.flask import AppContextMiddleware

# A worker imports this module alone, and makes its application by the factory.
in_app = AppContextMiddleware(factory="app:create_app")
queue = FluxQueue(middleware=[in_app])  # FLUXQUEUE_REDIS_URL, else redis://127.0.0.1:6379


def database() -> sqlite3.Connection:
    """Returns the connection of this request, or of this attempt at a task."""
    if "database" not in g:
        g.database = sqlite3.connect(current_app.config["DATABASE"])
        g.database.execute("CREATE TABLE IF NOT EXISTS letters (id PRIMARY KEY, name, text)")
    found: sqlite3.Connection = g.database
    return found


def close_database(error: BaseException | None) -> None:
    if (opened := g.pop("database", None)) is not None:
        opened.close()


def init_app(app: Flask) -> None:
    """Lets requests and tasks of the application use the database."""
    in_app.init_app(app)
    app.teardown_appcontext(close_database)


@queue.task(max_retries=5)
def send_letter(letter_id: str, name: str) -> None:
    """Writes a letter. A second run changes nothing."""
    text = f"{current_app.config['GREETING']} {name}!"
    with database() as connection:
        connection.execute(
            "INSERT OR IGNORE INTO letters VALUES (?, ?, ?)", (letter_id, name, text)
        )
