"""The pytest plugin, in separate runs of pytest."""

from __future__ import annotations

import subprocess
import sys

import fluxqueue.testing  # noqa: F401 - pytester forgets the modules that its runs load
import pytest

pytest_plugins = ["pytester"]

SHOP = """
import asyncio
from fluxqueue import FluxQueue

fluxqueue = FluxQueue("redis://127.0.0.1:1")
sent = []

@fluxqueue.task(result_ttl=60)
def send(to: str) -> str:
    sent.append(to)
    return to

@fluxqueue.task(max_retries=1, result_ttl=60)
async def charge(cents: int) -> int:
    await asyncio.sleep(0)
    if cents < 0:
        raise ValueError(cents)
    return cents
"""


@pytest.fixture(autouse=True)
def shop(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(shop=SHOP)
    pytester.makeini(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function"
    )


def run(pytester: pytest.Pytester, *arguments: str, passed: int = 0, failed: int = 0) -> str:
    """Runs the tests in this process, and returns what pytest prints."""
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)
    result.assert_outcomes(passed=passed, failed=failed)
    return result.stdout.str()


def run_process(pytester: pytest.Pytester, *arguments: str, passed: int) -> None:
    """Runs the tests in another process, which loads no other plugin: some take seconds."""
    pytester.makeini("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        plugins = ("-p", "fluxqueue_worker.pytest_plugin", "-p", "no:cacheprovider")
        pytester.runpytest_subprocess(*plugins, *arguments).assert_outcomes(passed=passed)


def test_the_fixtures_run_and_capture_calls(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        from shop import charge, send, sent

        def test_inline(fluxqueue_inline):
            assert send.enqueue("a").result() == "a"
            assert charge.enqueue(5).result() == 5
            with pytest.raises(ValueError):
                charge.enqueue(-1)
            assert fluxqueue_inline.calls[-1].attempts == 2

        def test_captured(fluxqueue_captured):
            send("b")
            fluxqueue_captured.assert_enqueued(send, args=("b",))
            assert sent == ["a"]
            fluxqueue_captured.drain()
            assert sent == ["a", "b"]
    """)
    run(pytester, passed=2)


def test_a_failed_assertion_shows_the_calls_and_no_line_of_the_plugin(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("""
        from shop import charge, send

        def test_captured(fluxqueue_captured):
            send("b")
            fluxqueue_captured.assert_enqueued(send, args=("c",))

        def test_inline(fluxqueue_inline):
            charge.enqueue(-1)
    """)
    printed = run(pytester, failed=2)
    assert "send('b'): to is 'b', not 'c'" in printed
    assert "modes.py" not in printed
    # The error of a task ends in its own code.
    assert "raise ValueError(cents)" in printed
    assert "task.retry" in printed


@pytest.mark.parametrize("mark", ["asyncio", "anyio"])
def test_the_fixtures_work_in_async_tests(pytester: pytest.Pytester, mark: str) -> None:
    pytester.makepyfile(f"""
        import pytest
        from shop import charge, send

        pytestmark = pytest.mark.{mark}

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        async def test_inline(fluxqueue_inline):
            handle = await charge.enqueue_async(5)
            assert await handle.result_async() == 5
            assert await (await send.enqueue_async("a")).result_async() == "a"
            with pytest.raises(ValueError):
                await charge(-1)

        async def test_again_on_another_loop(fluxqueue_inline):
            assert await (await charge.enqueue_async(6)).result_async() == 6

        async def test_captured(fluxqueue_captured):
            await charge(7)
            assert await fluxqueue_captured.drain_async() == 1
    """)
    run(pytester, passed=3)


def test_async_tests_of_a_session_share_a_loop(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        from shop import charge

        pytestmark = pytest.mark.asyncio(loop_scope="session")

        @pytest.mark.parametrize("cents", [1, 2, 3])
        async def test_inline(fluxqueue_inline, cents):
            assert await (await charge.enqueue_async(cents)).result_async() == cents
            assert len(fluxqueue_inline.calls) == 1
    """)
    run(pytester, passed=3)


def test_tests_share_nothing_under_xdist(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        from shop import send

        @pytest.mark.parametrize("number", range(8))
        def test_captured(fluxqueue_captured, number):
            send(str(number))
            assert [call.args for call in fluxqueue_captured.calls] == [(str(number),)]
    """)
    run_process(pytester, "-p", "xdist", "-n2", passed=8)


def test_pytest_starts_without_fluxqueue(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_nothing_is_loaded():
            assert "fluxqueue_worker.pytest_plugin" in sys.modules
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert not loaded & {"fluxqueue", "fluxqueue_core", "orjson", "redis", "shop"}
    """)
    run_process(pytester, passed=1)


def test_the_fixtures_have_a_help_text(pytester: pytest.Pytester) -> None:
    printed = run(pytester, "--fixtures")
    for fixture in ("inline", "captured", "worker"):
        assert f"fluxqueue_{fixture} -- " in printed


@pytest.mark.parametrize(
    "module", ["fluxqueue", "fluxqueue.client", "fluxqueue_worker.cli", "fluxqueue_worker.worker"]
)
def test_nothing_for_tests_is_loaded_in_production(module: str) -> None:
    code = (
        f"import sys, {module}; print(*(name for name in sys.modules if 'pytest' in name or "
        "name.startswith(('fluxqueue_worker.testing', 'fluxqueue.testing'))))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_an_import_changes_no_mode() -> None:
    code = (
        "import fluxqueue.testing, fluxqueue_worker.pytest_plugin\n"
        "from fluxqueue import FluxQueue\n"
        "queue = FluxQueue('redis://127.0.0.1:1')\n"
        "print(type(queue.broker.producer).__name__, queue)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "Producer FluxQueue('redis://127.0.0.1:1/0')"


def test_the_door_says_what_to_install() -> None:
    code = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fluxqueue_worker":
            raise ModuleNotFoundError(name, name="fluxqueue_worker")

sys.meta_path.insert(0, Missing())
import fluxqueue.testing
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "install fluxqueue-worker" in found.stderr.splitlines()[-1]
