"""Great Expectations over an ingested batch: which rows are unfit, and why, in words."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.put_off import put_off

if TYPE_CHECKING:
    from great_expectations.expectations import Expectation

# Great Expectations imports them for comparisons of distributions, of which no suite of ours has one: 78 MB, a second.
put_off("scipy.stats", "altair")

Suite = Callable[[], "Sequence[Expectation]"]
"""A function that imports Great Expectations and returns the suite: the import costs seconds, so it waits for rows."""


def answerable() -> Sequence[Expectation]:
    """What an e-mail or a ticket must be like to be asked about. A flow with other needs has a suite of its own."""
    import great_expectations.expectations as gxe

    return [
        gxe.ExpectColumnValuesToMatchRegex(
            column="sender",
            regex=r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
            notes="it has no sender that could be answered",
        ),
        gxe.ExpectColumnValuesToMatchRegex(column="said", regex=r"\S", notes="it says nothing: no subject and no text"),
        gxe.ExpectColumnValueLengthsToBeBetween(
            column="text", max_value=200_000, notes="its text is longer than 200,000 characters"
        ),
    ]


def unfit(rows: Sequence[Mapping[str, Any]], suite: Suite) -> dict[str, str]:
    """The rows that fail the suite: `id` -> the reasons on one line. Each row needs a string `id`.

    A reason is the expectation's `notes`, which must say it in a reader's words.

    Raises:
        ValueError: an expectation could not be evaluated at all (a column is missing, for example).
    """
    if not rows:
        return {}
    # Great Expectations reports usage over the network unless told otherwise before it is imported.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    import pandas as pd

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("intake")
        .add_dataframe_asset("rows")
        .add_batch_definition_whole_dataframe("all")
    )
    expectations = gx.ExpectationSuite(name="intake", expectations=list(suite()))
    validation = gx.ValidationDefinition(name="intake", data=batch, suite=context.suites.add(expectations))
    result = validation.run(
        batch_parameters={"dataframe": pd.DataFrame(list(rows))},
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]},
    )
    return {row: "; ".join(reasons) for row, reasons in _reasons(result).items()}


def _reasons(result: Any) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for outcome in result.results:
        if outcome.success:
            continue
        if outcome.exception_info and "unexpected_index_list" not in outcome.result:
            raise ValueError(f"{outcome.expectation_config.type} could not be evaluated: {outcome.exception_info}")
        for place in outcome.result["unexpected_index_list"]:
            reasons[place["id"]].append(str(outcome.expectation_config.notes))
    return reasons
