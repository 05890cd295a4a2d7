"""A code location of its own with the webhook assets, to try them or to copy from.

Run retries are a setting of the instance (`run_retries` in dagster.yaml), not of a code location. They multiply with
the `RetryPolicy` of an asset, and they do not look at the failure; the shim tags the run of a permanent failure, which
is what they do look at.
"""

import os

import dagster as dg

from ol_flows_dagster.shim import Webhook
from ol_flows_dagster.webhook_assets import ASSETS

# What the assets read is made elsewhere; in the platform's code locations it is there already.
UPSTREAM = {
    key: dg.AssetSpec(key, partitions_def=asset.partitions_def) for asset in ASSETS for key in asset.dependency_keys
}

defs = dg.Definitions(
    assets=[*ASSETS, *UPSTREAM.values()],
    resources={"webhook": Webhook(binary=os.environ.get("OL_WEBHOOK_BINARY", "ol-webhook"))},
)
