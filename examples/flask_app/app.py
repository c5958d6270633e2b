"""The web application: a form for names, and the letters that a worker has written to them."""

from __future__ import annotations

import os
import uuid

from flask import Flask, redirect, render_template_string, request
from flask.typing import ResponseReturnValue
from letters import database, init_app, send_letter

PAGE = """<!doctype html>
<html lang="en">
<title>Letters</title>
<h1>Letters</h1>
<form method="post" action="/letters">
  <label>Name <input name="name" maxlength="100" required></label> <button>Write</button>
</form>
<ul>{% for text in letters %}<li>{{ text }}</li>{% endfor %}</ul>
</html>
"""


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.update(
        DATABASE=os.environ.get("DATABASE", "letters.sqlite"),
        GREETING=os.environ.get("GREETING", "Dear"),
    )
    init_app(app)

    @app.get("/")
    def page() -> str:
        rows = database().execute("SELECT text FROM letters ORDER BY rowid DESC LIMIT 50")
        return render_template_string(PAGE, letters=[text for (text,) in rows])

    @app.post("/letters")
    def write() -> ResponseReturnValue:
        name = request.form.get("name", "").strip()[:100]
        if not name:
            return "give a name", 422
        send_letter(str(uuid.uuid4()), name)
        return redirect("/", 303)

    return app
