"""The settings of a connection, and the checks of names."""

from typing import final

DEFAULT_REDIS_URL: str

@final
class Settings:
    """The address of Redis, and how long to wait for it.

    An argument wins over the URL's query (`?timeout=2`), the query over the
    environment variable `FLUXQUEUE_<NAME>`, the variable over the default.

    Args:
        redis_url: None means the variable `FLUXQUEUE_REDIS_URL`, or
            `DEFAULT_REDIS_URL` if it is not set.
        connect_timeout: the seconds for one attempt to connect, 2 by default.
        timeout: the seconds for one call, including all attempts to connect, 5 by
            default.
        max_message_bytes: the most bytes of one message, 8 MiB by default. A client
            refuses to send a larger message, and a worker parks it.
        wait_replicas: the number of replicas that must have an enqueued task before
            the call returns, 0 by default.
        wait_aof: whether the task must also be on disk, in the append-only file of
            the master and of these replicas. Needs Redis 7.2. In a URL or a
            variable, write 0 or 1. Off by default.
        wait_timeout: the most seconds to wait for replicas and disks. Must be less
            than `timeout`. 1 by default, or half of `timeout` if that is shorter.
        namespace: the application's own keys in this Redis: 1 to 64 letters, digits and
            . _ - of ASCII. Not in the URL. None means the variable, '' the default
            namespace.

    Raises:
        ConfigurationError: a value is not valid. The text never has a password.
        TypeError: a value is of a wrong type.
    """

    def __new__(
        cls,
        redis_url: str | None = None,
        *,
        connect_timeout: float | None = None,
        timeout: float | None = None,
        max_message_bytes: int | None = None,
        wait_replicas: int | None = None,
        wait_aof: bool | None = None,
        wait_timeout: float | None = None,
        namespace: str | None = None,
    ) -> Settings: ...
    @property
    def namespace(self) -> str:
        """The namespace of the application's keys. '' for the default one."""

    @property
    def url(self) -> str:
        """The URL with its passwords, without the parameters that only FluxQueue
        knows. If `kind` is "single", a client library such as redis-py can read it."""

    @property
    def display_url(self) -> str:
        """The URL without user, password and parameters, for logs."""

    @property
    def kind(self) -> str:
        """The kind of address: "single", "sentinel" or "cluster"."""

    @property
    def nodes(self) -> list[tuple[str, int]]:
        """The hosts and ports in the URL: the server, the Sentinels, or the nodes of
        the cluster to ask first. An IPv6 address has no brackets. Empty for a socket
        in the file system."""

    @property
    def service(self) -> str | None:
        """The name by which the Sentinels know the master. None for other addresses."""

    @property
    def sentinel_username(self) -> str | None: ...
    @property
    def sentinel_password(self) -> str | None: ...
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def database(self) -> int: ...
    @property
    def encrypted(self) -> bool:
        """Whether connections use TLS, to the servers and to Sentinels."""

    @property
    def certificates(self) -> dict[str, str]:
        """The paths by their parameters in the URL: `ssl_ca_certs`, `ssl_certfile`
        and `ssl_keyfile`. Has only those that the URL gives."""

    @property
    def connect_timeout(self) -> float: ...
    @property
    def timeout(self) -> float: ...
    @property
    def max_message_bytes(self) -> int: ...
    @property
    def wait_replicas(self) -> int: ...
    @property
    def wait_aof(self) -> bool: ...
    @property
    def wait_timeout(self) -> float: ...

def check_namespace(namespace: str) -> None:
    """Checks the name of a namespace; '' is the default one.

    Raises:
        ConfigurationError: the name is not valid.
    """

def check_queue_name(queue: str) -> None:
    """Checks the name of a queue.

    Raises:
        ConfigurationError: the name is not valid.
    """
