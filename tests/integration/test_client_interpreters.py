"""Several interpreters in one process, as mod_wsgi and uWSGI have them."""

from __future__ import annotations

import subprocess
import sys

# Each prints one line: "imported", or the error.
PROGRAM = """
try:
    import _interpreters
    run = _interpreters.exec
    create = lambda: _interpreters.create("legacy")
except ImportError:
    # Before 3.13.
    import _xxsubinterpreters as _interpreters
    run = _interpreters.run_string
    create = lambda: _interpreters.create(isolated=False)

CODE = '''
try:
    import fluxqueue
except ImportError as error:
    print(error, flush=True)
else:
    print("imported", flush=True)
'''
first, second = create(), create()
run(first, CODE)
run(second, CODE)
run(first, CODE)
exec(CODE)
"""


def test_the_first_interpreter_that_imports_it_is_the_only_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stdout.splitlines()
    assert [line == "imported" for line in lines] == [True, False, True, False]
    assert "another interpreter of this process has imported fluxqueue" in lines[1]
    assert lines[3] == lines[1]
