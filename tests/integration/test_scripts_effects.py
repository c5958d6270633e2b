"""The place of effects: what an outcome writes besides its settling, such as a stored result.

No release has an effect yet. This test adds one to the text of `exchange`, in the two parts that
decision 0046 names, and so holds the place open: each part must be there to be extended.
"""

from __future__ import annotations

import pytest
from fluxqueue_core import key, script, script_keys
from support.scripts import LEASE, Outcome, Scripts, field, message

pytestmark = pytest.mark.versions

# The rows of effects precede their outcome: position of the key, 'effect', value, ms to keep it.
SETTLE = {
    "  for i = at + 1 + succeeded, #ARGV, 4 do\n": """\
  local effects = {}
  for i = at + 1 + succeeded, #ARGV, 4 do
""",
    "    local message = redis.call('HGET', OWN_CLAIMED, f)\n": """\
    if kind == 'effect' then effects[#effects + 1] = {KEYS[tonumber(f)], payload, extra} end
    local message = kind ~= 'effect' and redis.call('HGET', OWN_CLAIMED, f)
""",
    "finish(t, f, message, 'succeeded')": "finish(t, f, message, 'succeeded', nil, effects)",
    "(save_dead or extra == '1') and payload)": "(save_dead or extra == '1') and payload, effects)",
    "      redis.call('HDEL', OWN_CLAIMED, f)\n    end\n": """\
      redis.call('HDEL', OWN_CLAIMED, f)
    end
    if kind ~= 'effect' then effects = {} end
""",
}
FINISH = {
    "local function finish(t, entry, message, how, reason)\n": """\
local function finish(t, entry, message, how, reason, effects)
  for _, e in ipairs(effects or {}) do redis.call('SET', e[1], e[2], 'PX', e[3]) end
""",
}


def with_effects(text: str) -> str:
    for old, new in [*SETTLE.items(), *FINISH.items()]:
        assert text.count(old) == 1, f"the place of effects has moved: {old!r}"
        text = text.replace(old, new)
    return text


def test_an_outcome_writes_to_a_key_that_it_names_by_position(scripts: Scripts) -> None:
    plain, good, bad, gone = (message(n, opts='{"r":60000}' if n else "") for n in range(4))
    scripts.claim("c", plain, good, bad)
    keys = script_keys("exchange", scripts.queue, "c")
    results = [f"{key('pending', scripts.queue)}:result:{n}" for n in range(3)]
    rows = [
        field(plain),
        *(len(keys) + 1, "effect", b"good", 60_000, *Outcome(field(good), "done")),
        *(len(keys) + 2, "effect", b"bad", 60_000, *Outcome(field(bad), "dead", b"{}", "1")),
        *(len(keys) + 3, "effect", b"gone", 60_000, *Outcome(field(gone), "done")),
    ]
    arguments = ["c", LEASE, 0, "pending", 1, 1_000, 1, *rows]
    text = with_effects(script("exchange", scripts.flags))
    reply = scripts.redis.eval(text, len(keys) + 3, *keys, *results, *arguments)
    assert reply[0] == 1 and scripts.held("c") == {}
    assert scripts.stats() == {"succeeded": 2, "dead": 1} and list(scripts.dead()) == [field(bad)]
    # An outcome that does nothing has no effect either.
    assert scripts.redis.mget(results) == [b"good", b"bad", None]
    assert 0 < scripts.redis.pttl(results[0]) <= 60_000
    scripts.redis.delete(*results)
