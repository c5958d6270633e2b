"""Scripts whose time is a key of Redis, so that a test decides how it passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluxqueue_core import script, script_keys

from .scripts import Scripts

CLOCK = "clock"
START = 1_764_430_000_000_000


class FakeClock(Scripts):
    """Scripts whose time is that of the test, and with rules broken on purpose.

    Attributes:
        us: the time, microseconds since 1970.
        audit: the text of a script that follows each other one in the same round trip, and its
            argument.
        look: what gets its reply.
    """

    def __init__(self, redis: Any, mutant: tuple[str, str] | None) -> None:
        super().__init__(redis)
        self.us = START
        self.audit: tuple[str, str] | None = None
        self.look: Callable[[Any], None] = lambda reply: None
        self._digests: dict[str, str] = {}
        self._mutant = mutant
        self._is_broken = mutant is None

    def digest(self, name: str) -> str:
        """The digest of a script, which the server then knows."""
        if name not in self._digests:
            text = script(name, self.flags)
            if self._mutant is not None and self._mutant[0] in text:
                text = text.replace(*self._mutant)
                self._is_broken = True
            head, rest = text.split("\n", 1) if text.startswith("#!") else ("", text)
            clock = (
                f"local function fake() local us = tonumber(redis.call('GET', '{CLOCK}')) "
                "return {math.floor(us / 1000000), us % 1000000} end\n"
            )
            rest = rest.replace("redis.call('TIME')", "fake()")
            loaded = self.redis.script_load(f"{head}\n{clock}{rest}".lstrip())
            self._digests[name] = str(loaded)
        return self._digests[name]

    def check_mutant(self) -> None:
        """Fails if the broken rule is in none of the scripts that were called."""
        assert self._is_broken, self._mutant

    def call(
        self,
        name: str,
        arguments: Any = (),
        consumer: str | None = None,
        olds: Any = (),
        results: Any = (),
        more_keys: Any = (),
    ) -> Any:
        keys = script_keys(name, self.queue, consumer, olds, self.namespace)
        keys += [*(self.key("result", each) for each in results), *more_keys]
        digest = self.digest(name)
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.set(CLOCK, self.us)
        pipeline.evalsha(digest, len(keys), *keys, *arguments)
        if self.audit is not None:
            pipeline.eval(self.audit[0], 0, self.audit[1])
        _, reply, *audited = pipeline.execute()
        for each in audited:
            self.look(each)
        return reply

    def now(self) -> int:
        return self.us // 1_000
