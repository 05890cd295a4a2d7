"""The programs of OL Flows as Dagster assets."""

from ol_flows_dagster.shim import (
    ConfigurationFailure,
    NeedsPersonFailure,
    PermanentFailure,
    TransientFailure,
    Webhook,
    run_program,
)

__all__ = [
    "ConfigurationFailure",
    "NeedsPersonFailure",
    "PermanentFailure",
    "TransientFailure",
    "Webhook",
    "run_program",
]
