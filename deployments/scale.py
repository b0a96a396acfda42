"""Prefect past one process of each: its server on PostgreSQL and Redis, several API servers, several workers.

The settings are those of Prefect's own guide to a server on several machines. `compose.yaml` holds the same for
containers; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from deployments.errors import StackError

MOST = 64
"""Servers or workers on one machine: more is a typing error."""

ON_REDIS = {
    "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_MESSAGING_CACHE": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
    # In a file, our setting for one server, another server would not see who holds a slot.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
}
"""What API servers share in Redis: events, their order, and who holds a concurrency slot."""

PREPARED = {
    "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
    # Two servers that start at once would both register the block types, and the slower one ends with an error.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
}
"""For API servers: the schema and the block types are put there once, before the first and after it has started."""


@dataclass(frozen=True)
class Scale:
    """How many processes of each, and what they share.

    Raises:
        StackError: the numbers or addresses do not go together.
    """

    servers: int = 1
    workers: int = 1
    runs: int | None = None
    """The most flow runs that a worker has at once; None for any number."""
    database: str | None = None
    """Prefect's own database, `postgresql://user:password@host/name`; None for a SQLite file."""
    redis: str | None = None
    """`redis://host:6379`: of its databases, 0 and 1 are used."""

    def __post_init__(self) -> None:
        for what, number in (("--servers", self.servers), ("--workers", self.workers), ("--runs", self.runs)):
            if number is not None and not 1 <= number <= MOST:
                raise StackError(f"{what} is {number}: it must be between 1 and {MOST}")
        _demand("--database", self.database, ("postgresql", "postgresql+asyncpg"), "postgresql://user@host/prefect")
        _demand("--redis", self.redis, ("redis", "rediss"), "redis://127.0.0.1:6379")
        if self.redis and not self.database:
            raise StackError("--redis needs --database: servers that share Redis share a PostgreSQL, too")
        if self.servers > 1 and not self.redis:
            raise StackError("more than one server needs --database (PostgreSQL) and --redis: they share both")

    @property
    def apart(self) -> bool:
        """Whether the server's background services are a process of their own, beside servers that only answer."""
        return self.redis is not None

    @property
    def environment(self) -> dict[str, str]:
        """The settings of every process of such a server."""
        found = {}
        if self.database:
            address = self.database.partition("://")[2]
            found["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = f"postgresql+asyncpg://{address}"
        if self.redis:
            base = self.redis.rstrip("/")
            found |= {
                **ON_REDIS,
                "PREFECT_REDIS_MESSAGING_URL": f"{base}/0",
                "PREFECT_SERVER_DOCKET_URL": f"{base}/1",
            }
        return found


def _demand(option: str, url: str | None, schemes: tuple[str, ...], example: str) -> None:
    """An address of one of these kinds. The message does not repeat it: it may hold a password."""
    if url is None:
        return
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.netloc:
        raise StackError(f"{option} cannot be used: it is an address like {example}")
    if schemes[0] == "redis" and parts.path.strip("/"):
        raise StackError(f"{option} names a database of Redis: leave it out, as in {example}; 0 and 1 are used")
