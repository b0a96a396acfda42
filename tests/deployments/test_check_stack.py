"""`signoff check` where a server runs and the accounts are connected."""

from __future__ import annotations

import re

import pytest

from tests.deployments.machinery import Machine

pytestmark = pytest.mark.slow


def test_passes_on_this_repository(triaged: Machine) -> None:
    done = triaged.signoff("check")
    assert done.code == 0, done.out + done.err
    assert "lead-triage" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_names_the_account_that_is_not_connected(machine: Machine) -> None:
    found = machine.ask("POST", "/block_documents/filter", include_secrets=True)
    (crm,) = (block for block in found if block["name"] == "crm")
    machine.ask("DELETE", f"/block_documents/{crm['id']}")
    try:
        done = machine.signoff("check")
    finally:
        kept = {key: crm[key] for key in ("name", "data", "block_schema_id", "block_type_id")}
        machine.ask("POST", "/block_documents/", **kept)
    assert done.code == 1
    (said,) = (line for line in done.err.splitlines() if "hubspot/crm" in line)
    assert re.match(r"hubspot/crm is not connected, which .*lead-triage.* cannot run without: signoff connect", said)
    assert machine.signoff("check").code == 0
