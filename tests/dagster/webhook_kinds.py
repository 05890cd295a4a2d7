"""The webhook assets, what each reads, and the request each has to make. Needs `deploy/dagster` on the path."""

import dataclasses

import dagster
from ol_flows_dagster import webhook_assets

RUN = "course-v1:MITxT+8.01.1x+3T2024"
VIDEO = {
    "key": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "title": "Müll — ein Vortrag 🦀",
    "description": "",
    "created_at": "2024-02-28T10:00:00Z",
    "duration": 61.5,
    "sources": [{"src": "https://d1.cloudfront.net/0f1e/video.m3u8", "type": "application/x-mpegURL"}],
    "videothumbnail_set": [{"cloudfront_url": "https://d1.cloudfront.net/0f1e/thumb.jpg"}],
    "videosubtitle_set": [],
    "collection": {"key": "abc", "title": "Talks", "description": "", "for_shorts": False},
}
MITXONLINE, XPRO = webhook_assets.ASSETS[:2]
CONTENT = "/api/v1/webhooks/content_files/"
OVS = "/api/v1/webhooks/ovs_videos/"


@dataclasses.dataclass(frozen=True)
class Kind:
    """An asset, what it reads, and the request it has to make."""

    asset: dagster.AssetsDefinition
    partition_key: str
    reads: object
    path: str
    body: dict


KINDS = {
    "mitxonline": Kind(
        MITXONLINE,
        RUN,
        f"s3://lake/mitxonline/openedx/raw_data/course_xml/{RUN}/0a.xml.tar.gz",
        CONTENT,
        {
            "source": "mitxonline",
            "course_id": RUN,
            "course_readable_id": RUN,
            "content_path": f"mitxonline/openedx/raw_data/course_xml/{RUN}/0a.xml.tar.gz",
        },
    ),
    "xpro": Kind(
        XPRO,
        RUN,
        f"s3://lake/xpro/openedx/raw_data/course_xml/{RUN}/0a.xml.tar.gz",
        CONTENT,
        {
            "source": "xpro",
            "course_id": RUN,
            "course_readable_id": RUN,
            "content_path": f"xpro/openedx/raw_data/course_xml/{RUN}/0a.xml.tar.gz",
        },
    ),
    "edxorg": Kind(
        webhook_assets.edxorg_course_content,
        "prod|MITx-6.00.1x-2T2024",
        "s3://lake/edxorg-raw-data/edxorg/raw_data/course_xml/prod/MITx-6.00.1x-2T2024/0b.xml.tar.gz",
        CONTENT,
        {
            "source": "mit_edx",
            "course_id": "MITx-6.00.1x-2T2024",
            "course_readable_id": "MITx-6.00.1x-2T2024",
            "content_path": "edxorg-raw-data/edxorg/raw_data/course_xml/prod/MITx-6.00.1x-2T2024/0b.xml.tar.gz",
        },
    ),
    "canvas": Kind(
        webhook_assets.canvas_course_content,
        "2198",
        "s3://lake/canvas/course_content/2198/0c.imscc",
        CONTENT,
        {
            "course_id": 2198,
            "course_name": "Société 🦀",
            "course_code": "15.S20",
            "content_path": "canvas/course_content/2198/0c.imscc",
            "metadata_path": "canvas/course_content/2198/0c.metadata.json",
            "source": "canvas",
        },
    ),
    "canvas delete": Kind(
        webhook_assets.canvas_course_delete,
        "2198",
        None,
        f"{CONTENT}delete/",
        {"course_id": 2198, "source": "canvas"},
    ),
    "ovs": Kind(webhook_assets.ovs_video, VIDEO["key"], VIDEO, OVS, VIDEO),
    "ovs delete": Kind(
        webhook_assets.ovs_video_delete, VIDEO["key"], None, OVS, {"video_id": VIDEO["key"], "delete": True}
    ),
}
