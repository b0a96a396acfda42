"""The same work as a LangGraph graph, with a checkpoint in SQLite after every step: what its tutorial makes of it.

Runs in an environment of its own (`make peers`): `python -m benchmarks.peers.langgraph_triage langgraph URL N`.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from benchmarks.ways import IN_FLIGHT, Clients, each_of, tell


class State(TypedDict, total=False):
    """What is known of an e-mail."""

    id: str
    sender: str
    answer: dict[str, Any]


def main() -> None:
    """Run it and tell its figures."""
    url, records = sys.argv[2], int(sys.argv[3])
    clients = Clients(url)
    clients.make_label()
    file = os.environ["SIGNOFF_LEDGER_URL"].removeprefix("sqlite:///") + ".langgraph"
    graph = made(clients, sqlite3.connect(file, check_same_thread=False))

    def one(id: str) -> None:
        graph.invoke({"id": id}, {"configurable": {"thread_id": id}})

    def work() -> None:
        each_of(one, clients.inbox(records), IN_FLIGHT)

    tell(work, lambda: {"ledger_bytes": os.path.getsize(file)})


def made(clients: Clients, connection: sqlite3.Connection) -> Any:
    """The graph: read, look up, ask, act."""

    def read(state: State) -> State:
        return {"sender": str(clients.read(state["id"])["From"].addresses[0].addr_spec)}

    def look_up(state: State) -> State:
        clients.contacts([state["sender"]])
        return {}

    def ask(_: State) -> State:
        return {"answer": clients.ask()}

    def act(state: State) -> State:
        if state["answer"]["intent"] == "spam":
            clients.set_label(state["id"])
        return {}

    steps = {"read": read, "look_up": look_up, "ask": ask, "act": act}
    graph = StateGraph(State)
    for name, step in steps.items():
        graph.add_node(name, step)
    for before, after in zip((START, *steps), (*steps, END), strict=True):
        graph.add_edge(before, after)
    return graph.compile(checkpointer=SqliteSaver(connection))


if __name__ == "__main__":
    main()
