"""The telemetry that client, worker and scheduler have in common."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from fluxqueue_core.telemetry import instruments
from fluxqueue_core.telemetry.spans import Spans
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from support.telemetry import Recorded


class SamplesAll(ParentBased):
    """Also what is below a parent that is not sampled."""

    def should_sample(self, *args: Any, **kwargs: Any) -> Any:
        return ALWAYS_ON.should_sample(*args, **kwargs)


@pytest.mark.parametrize(
    ("sampler", "follows"),
    [
        (ParentBased(ALWAYS_ON), True),
        (ALWAYS_OFF, True),
        (ALWAYS_ON, False),
        (ParentBased(ALWAYS_ON, remote_parent_not_sampled=ALWAYS_ON), False),
        (SamplesAll(ALWAYS_ON), False),
    ],
)
def test_only_a_sampler_that_follows_its_parent_is_not_asked(
    sampler: Sampler, follows: bool
) -> None:
    tracer = TracerProvider(sampler, shutdown_on_exit=False).get_tracer("fluxqueue")
    assert instruments.follows_unsampled_parents(tracer) is follows


def test_an_error_whose_text_is_not_utf_8_can_be_exported(recorded: Recorded) -> None:
    """One such span would cost its whole batch."""
    tracer = instruments.get_tracer()
    assert tracer is not None
    parent = SpanContext(5, 6, True, TraceFlags(1))
    span = Spans(tracer).start("process q", parent, SpanKind.CONSUMER, {})
    error = ValueError("no file \udcff")
    instruments.Exceptions().record(span, Context(), "process", error, f"...: {error}")
    span.end()
    (ended,) = recorded.spans()
    assert ended.status.description == "no file \\udcff"
    assert encode_spans([ended]).SerializeToString()
    assert encode_logs(recorded.logs()).SerializeToString()


FORK = """
import os, threading
from fluxqueue_core.telemetry import spans

held, go_on = threading.Event(), threading.Event()

def hold():
    with spans._becoming:
        held.set()
        go_on.wait()

threading.Thread(target=hold).start()
held.wait()
if (child := os.fork()) == 0:
    os._exit(0 if spans._becoming.acquire(timeout=5) else 1)
go_on.set()
print(os.waitpid(child, 0)[1])
"""


def test_a_fork_does_not_inherit_a_held_lock() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.stdout == "0\n", run.stderr
