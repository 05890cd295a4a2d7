"""One asset a kind of webhook to MIT Learn, under the keys and partitions of the platform's own assets.

All of them send by `Webhook.send`, so a `RetryPolicy` retries what may pass and nothing else. Inputs are what the
platform's IO managers load: the place of a file in S3, the metadata of a video.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import dagster as dg

from ol_flows_dagster.shim import Result, Webhook

RETRIES = dg.RetryPolicy(max_retries=3, delay=60, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

canvas_course_ids = dg.DynamicPartitionsDefinition(name="canvas_course_ids")
course_and_source = dg.DynamicPartitionsDefinition(name="course_and_source")
ovs_video_ids = dg.DynamicPartitionsDefinition(name="ovs_video_ids")


def object_key(place: Any, folder: str) -> str:
    """The key of an object in its bucket, from the folder on that Learn expects it in.

    Learn opens exactly this key. What is before the folder is the prefix that the platform has in dev and ci only.
    """
    before, scheme, after = str(place).partition("://")
    key = after.partition("/")[2] if scheme else before.lstrip("/")
    return key[max(key.find(folder), 0) :]


def openedx_course_content(deployment: str) -> dg.AssetsDefinition:
    """Tells Learn of the exported archive of a course run; Learn's name of the source is that of the deployment."""

    @dg.asset(
        key=[deployment, "openedx", "course_content_webhook"],
        ins={"course_xml": dg.AssetIn(key=[deployment, "openedx", "raw_data", "course_xml"])},
        partitions_def=dg.DynamicPartitionsDefinition(name=f"{deployment}_openedx_course_run"),
        group_name="course_content_metadata",
        retry_policy=RETRIES,
    )
    def course_content_webhook(
        context: dg.AssetExecutionContext, webhook: Webhook, course_xml: Any
    ) -> Iterator[Result]:
        yield from webhook.send(
            context,
            "content_files",
            source=deployment,
            course_id=context.partition_key,
            course_readable_id=context.partition_key,
            content_path=object_key(course_xml, f"{deployment}/openedx/"),
        )

    return course_content_webhook


@dg.asset(
    key=["edxorg", "course_content_webhook"],
    ins={"course_archive": dg.AssetIn(key=["edxorg", "raw_data", "course_xml"])},
    partitions_def=course_and_source,
    group_name="course_content_metadata",
    retry_policy=RETRIES,
)
def edxorg_course_content(context: dg.AssetExecutionContext, webhook: Webhook, course_archive: Any) -> Iterator[Result]:
    """Tells Learn of an archive from edx.org; a partition is a course run and one of its two systems, in any order.

    In production the archives lie below `edxorg-raw-data/`. The platform's own asset leaves that out, and Learn finds
    no such object.
    """
    (course_id,) = (part for part in context.partition_key.split("|") if part not in ("prod", "edge"))
    yield from webhook.send(
        context,
        "content_files",
        source="mit_edx",
        course_id=course_id,
        course_readable_id=course_id,
        content_path=object_key(course_archive, "edxorg-raw-data/"),
    )


@dg.asset(
    key=["canvas", "course_content_metadata"],
    ins={
        "canvas_content_export": dg.AssetIn(key=["canvas", "course_content"]),
        "course_metadata_export": dg.AssetIn(key=["canvas", "course_metadata"]),
    },
    partitions_def=canvas_course_ids,
    group_name="course_content_metadata",
    retry_policy=RETRIES,
)
def canvas_course_content(
    context: dg.AssetExecutionContext, webhook: Webhook, canvas_content_export: Any, course_metadata_export: Any
) -> Iterator[Result]:
    """Tells Learn of an export of a Canvas course; what else the payload says is in the file beside the export."""
    course = json.loads(course_metadata_export.read_text())
    payload = {
        "course_id": context.partition_key,
        "course_name": course["course_name"],
        "course_code": course["course_code"],
        "course_readable_id": course["course_readable_id"],
        "content_path": object_key(canvas_content_export, "canvas/course_content/"),
        "metadata_path": object_key(course_metadata_export, "canvas/course_content/"),
    }
    yield from webhook.send(context, "content_files", source="canvas", payload=payload)


@dg.asset(
    key=["canvas", "course_content_delete"],
    partitions_def=canvas_course_ids,
    group_name="course_content_metadata",
    retry_policy=RETRIES,
)
def canvas_course_delete(context: dg.AssetExecutionContext, webhook: Webhook) -> Iterator[Result]:
    """Has Learn delete a Canvas course, for a person to start: it is gone there with all it had."""
    yield from webhook.send(context, "content_files/delete", source="canvas", course_id=context.partition_key)


@dg.asset(
    key=["ovs_videos", "video_webhook"],
    ins={"video_metadata": dg.AssetIn(key=["ovs_videos", "video_metadata"])},
    partitions_def=ovs_video_ids,
    group_name="ovs_videos",
    retry_policy=RETRIES,
)
def ovs_video(context: dg.AssetExecutionContext, webhook: Webhook, video_metadata: dict[str, Any]) -> Iterator[Result]:
    """Sends a video as ODL Video Service describes it."""
    yield from webhook.send(context, "ovs_videos", payload=video_metadata)


@dg.asset(
    key=["ovs_videos", "video_delete_webhook"],
    partitions_def=ovs_video_ids,
    group_name="ovs_videos",
    retry_policy=RETRIES,
)
def ovs_video_delete(context: dg.AssetExecutionContext, webhook: Webhook) -> Iterator[Result]:
    """Has Learn delete a video that ODL Video Service no longer lists."""
    yield from webhook.send(context, "ovs_videos/delete", video_id=context.partition_key)


@dg.asset(
    key=["mit_learn_delivery", "mit_climate_webhook"],
    deps=[dg.AssetKey(["integrations", "learn", "integrations__learn__mit_climate_articles"])],
    group_name="mit_learn_delivery",
    retry_policy=RETRIES,
)
def mit_climate(context: dg.AssetExecutionContext, webhook: Webhook) -> Iterator[Result]:
    """Sends the articles of the climate portal, the whole table as one batch.

    Learn has no route for it yet, so the program refuses before it reads anything, and says so; nothing is retried.
    `OL_WEBHOOK__LEARNING_RESOURCES_ENABLED=true` turns it on.
    """
    environment = os.environ.get("DAGSTER_ENVIRONMENT", "dev")
    yield from webhook.send(
        context,
        "learning_resources",
        source="mit_climate",
        table=f"ol_warehouse_{environment}_integrations.integrations__learn__mit_climate_articles",
    )


# `mitx` is not there: Learn knows no such source.
ASSETS = [
    openedx_course_content("mitxonline"),
    openedx_course_content("xpro"),
    edxorg_course_content,
    canvas_course_content,
    canvas_course_delete,
    ovs_video,
    ovs_video_delete,
    mit_climate,
]
