"""The table of task options in docs/task-options.md, from the declarations in
`fluxqueue.options`. Run `PYTHONPATH=tests python -m support.option_table` to print it."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields

from fluxqueue.options import TaskOptions, Terms


def option_table() -> str:
    """Returns Markdown with one row per option."""
    declared = {each.name: each for each in fields(Terms)}
    _, _, described = inspect.cleandoc(TaskOptions.__doc__ or "").partition("Attributes:\n")
    rows = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for text in re.split(r"^ {4}(?=\w)", described, flags=re.MULTILINE)[1:]:
        name, _, meaning = " ".join(text.split()).partition(": ")
        meaning = re.sub(r"docs/(\w+\.md)", r"[\1](\1)", meaning)
        kind = str(declared[name].type).replace("|", "\\|")
        rows.append(f"| `{name}` | `{kind}` | `{declared[name].default}` | {meaning} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(option_table(), end="")
