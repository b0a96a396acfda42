"""The environment variables; a test holds this list to the code, both ways."""

from __future__ import annotations

from typing import NamedTuple

from blocks import connections
from blocks.connecting import how
from docs._build.text import code, codes, table


class Setting(NamedTuple):
    """An environment variable."""

    name: str
    what: str
    default: str


SETTINGS = (
    Setting("SIGNOFF_HOME", "where the ledger, logs and the server's database are kept", "`.signoff/` in this folder"),
    Setting(
        "SIGNOFF_LEDGER_URL",
        "the ledger's database: `postgresql://user@host/signoff` where several machines share it",
        "SQLite in `SIGNOFF_HOME`",
    ),
    Setting(
        "SIGNOFF_LIBRARY_URL",
        "the library's database: PostgreSQL with pgvector where several machines share it",
        "SQLite in `SIGNOFF_HOME`",
    ),
    Setting(
        "SIGNOFF_EMBEDDER",
        "a folder with an embedding model of your own (`model.onnx`, `vocab.txt`; 384 dimensions)",
        "MiniLM, built in",
    ),
    Setting(
        "SIGNOFF_RETENTION_DAYS", "after how many days closed work loses its personal data; 0 or `never`: never", "90"
    ),
    Setting("SIGNOFF_PARALLEL_RUNS", "how many runs of a workflow may share what waits, at once", "1"),
    Setting(
        "SIGNOFF_RECEIVER_URL", "where commands find the receiver of webhooks and the inbox", "`http://127.0.0.1:4280`"
    ),
    Setting(
        "SIGNOFF_INBOX_URL",
        "where people reach the inbox; links lead there, and other host names are refused",
        "`http://127.0.0.1:4280`",
    ),
    Setting(
        "PREFECT_UI_URL",
        "for `signoff up`: where people find Prefect's pages, when a proxy stands before them",
        "where its server listens",
    ),
    Setting(
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY",
        "seconds between Prefect's heartbeats of a run, for an automation on them; a run ends up to a second later",
        "off: ours are in the ledger",
    ),
    Setting(
        "PREFECT_API_URL",
        "which Prefect server commands talk to",
        "`signoff`: the one that is up; `prefect`: port 4200",
    ),
)
"""For people who run it."""

CONTAINERS = (
    Setting("SIGNOFF_PASSWORD", "what people type into the browser, `user:password`", "must be set"),
    Setting("SIGNOFF_DATABASE_PASSWORD", "the databases' own, inside only: letters and digits", "must be set"),
    Setting("SIGNOFF_URL", "where people reach it", "must be set"),
    Setting("SIGNOFF_ADDRESS", "the name that Caddy gets a certificate for", "`:80`, without TLS"),
)
"""For `deployments/compose.yaml`; they stand in `deployments/.env`."""

OURS = (
    Setting("SIGNOFF_ROOT", "the checkout, for Prefect's workers; on machines of your own, set it yourself", ""),
    Setting("SIGNOFF_LEFT_ALONE", "within a command: the home of another folder's server, which it lets alone", ""),
)
"""Set by Signoff itself."""

TESTS = (
    Setting("SIGNOFF_DATA", "where the public data sets are that some tests and benchmarks use", "those are skipped"),
    Setting("SIGNOFF_TEST_DATABASE", "`postgresql`: all tests of the ledger run there", "`sqlite`"),
    Setting("SIGNOFF_DEMO_OUTPUT", "what `make demo` printed: a test looks at it, and need not run it", ""),
    Setting("SIGNOFF_BENCH_REQUEST", "within `make bench`: what a process of its own is to measure", ""),
)
"""For tests and benchmarks."""

TITLES = ("Variable", "What it does", "Default")

HEAD = """# Settings

Every environment variable that Signoff reads. Nothing else is set outside the code: what a workflow may do stands on
its card, and accounts are [blocks](blocks.md).

"""


def page() -> str:
    """The Markdown."""
    return HEAD + "\n".join(
        [
            table(TITLES, _rows(SETTINGS)),
            "## In containers\n\nFor `deployments/compose.yaml`; copy `deployments/compose.env.example` to "
            f"`deployments/.env`, and fill it in.\n\n{table(TITLES, _rows(CONTAINERS))}",
            _accounts(),
            f"## Set by Signoff itself\n\n{table(TITLES, _rows(OURS))}",
            f"## For tests and benchmarks\n\n{table(TITLES, _rows(TESTS))}",
        ]
    )


def _rows(settings: tuple[Setting, ...]) -> list[tuple[str, str, str]]:
    return [(code(each.name), each.what, each.default) for each in settings]


def _accounts() -> str:
    rows = []
    for slug in connections.BLOCKS:
        for name, found in how(connections.block_class(slug)).environment.items():
            rows.append((code(slug), code(name), codes(found)))
    return (
        "## Values of accounts\n\n"
        "`signoff connect` takes a field of a block from `SIGNOFF_<TYPE>_<NAME>_<FIELD>`, such as "
        "`SIGNOFF_NOTION_MEETINGS_DATA_SOURCE`, then from `SIGNOFF_<TYPE>_<FIELD>`, such as "
        "`SIGNOFF_NOTION_DATA_SOURCE`, then from these, which people may have already. The first that is set "
        "counts.\n\n" + table(("Block type", "Field", "Also looked for in"), rows)
    )
