"""`Limit`, which tasks of a queue share."""

from __future__ import annotations

from dataclasses import dataclass

from fluxqueue_core.limits import LimitRules, check_limit_name
from fluxqueue_core.rates import read_rate

from .errors import ConfigurationError
from .option_checks import check_burst, check_concurrency, check_rate, kind_of


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that the tasks of a queue share: those that name it. `FluxQueue.limit` makes it.

    Attributes:
        name: its name, for people and for `fluxqueue limits`.
        rate: how many tasks may begin in a time, such as "25/s"; None: any number.
        concurrency: how many may run at once; None: any number.
        burst: how many may begin at once after a quiet time; None: one, or as many as a rate above
            20 in a second needs.

    Raises:
        TypeError: a value has the wrong type.
        ConfigurationError: a value is out of range, or there is neither rate nor concurrency.
    """

    name: str
    rate: str | None = None
    concurrency: int | None = None
    burst: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"the name of a limit must be a str, not {kind_of(self.name)}")
        check_limit_name(self.name)
        check_rate("rate", self.rate)
        check_concurrency("concurrency", self.concurrency)
        check_burst("burst", self.burst)
        if self.rate is None and self.concurrency is None:
            raise ConfigurationError(
                f"the limit {self.name!r} limits nothing; give rate='25/s', concurrency=5, or both"
            )
        if self.burst is not None and self.rate is None:
            raise ConfigurationError(
                "burst says nothing without rate; give rate too, such as '100/m'"
            )

    @property
    def rules(self) -> LimitRules:
        """The numbers, as Redis and messages have them."""
        if self.rate is None:
            return LimitRules(self.concurrency or 0)
        return LimitRules(self.concurrency or 0, *read_rate(self.rate, self.burst))
