"""Prefect's heartbeats are off, unless somebody has asked for them: ours is in the ledger (`tasks/run.py`).

Prefect (3.8) emits one from a thread that it waits for at a run's end, and that sleeps a second at a time: every run
took up to a second longer, half a second as a rule. No environment variable can say "none"; its own tests set it so,
too. Who wants an automation on Prefect's heartbeats sets `PREFECT_FLOWS_HEARTBEAT_FREQUENCY` (seconds, 30 at least).
"""

from prefect.settings import get_current_settings

_flows = get_current_settings().flows
if "heartbeat_frequency" not in _flows.model_fields_set:
    _flows.heartbeat_frequency = None
