"""FluxQueue in a Flask application: each attempt at a task has an application context.

    in_app = AppContextMiddleware()
    queue = FluxQueue(middleware=[in_app])

    def create_app():
        app = Flask(__name__)
        in_app.init_app(app)
        return app

See docs/flask.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

from .middleware import Attempt, AttemptSteps, Middleware

if TYPE_CHECKING:
    from flask import Flask

NO_APPLICATION = (
    "this process has no Flask application: call init_app(app) in a module that the worker "
    "imports, or give AppContextMiddleware(factory='myapp:create_app')"
)


class AppContextMiddleware(Middleware):
    """Pushes an application context before each attempt, and pops it after it: `current_app`, `g`
    and extensions work, and functions of `teardown_appcontext` run with the task's error or None.

    Args:
        app: the application, if it exists already.
        factory: makes the application in a worker that has none at its first attempt: a function
            without arguments, or its place as "module:name".
    """

    def __init__(
        self, app: Flask | None = None, *, factory: Callable[[], Flask] | str | None = None
    ) -> None:
        if isinstance(factory, str) and not all(factory.partition(":")):
            raise ValueError(f"factory is {factory!r}; give 'module:name', as 'myapp:create_app'")
        self._app: Flask | None = None
        self._factory = factory
        self._making = threading.Lock()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Uses this application for the attempts of this process. The last one counts."""
        app.extensions["fluxqueue"] = self
        self._app = app

    def attempt(self, attempt: Attempt) -> AttemptSteps:
        context = (self._app or self._made()).app_context()
        context.push()
        error: BaseException | None = None
        try:
            outcome = yield
            error = outcome.error
        finally:
            context.pop(error)

    def _made(self) -> Flask:
        with self._making:
            if self._app is None:
                if self._factory is None:
                    raise RuntimeError(NO_APPLICATION)
                self.init_app(_called(self._factory))
            assert self._app is not None
            return self._app


def _called(factory: Callable[[], Flask] | str) -> Flask:
    if isinstance(factory, str):
        module, _, name = factory.partition(":")
        factory = cast("Callable[[], Flask]", getattr(import_module(module), name))
    return factory()
