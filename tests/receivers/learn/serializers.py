"""What the endpoints accept: field rules of MIT Learn's serializers, and the host allow-list for OVS media."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import ParseResult, urlparse

from django.conf import settings
from rest_framework import serializers

SOURCES = (
    "mit_edx", "mitpe", "mitxonline", "oll", "ocw", "podcast", "mit_climate", "see", "xpro", "youtube", "canvas", "ovs",
)  # fmt: skip
OVS_KEY = r"^[A-Za-z0-9._-]{1,255}$"


class ContentFiles(serializers.Serializer):
    """A content archive that is ready, or a course that is gone; unknown fields are ignored."""

    source = serializers.ChoiceField(choices=SOURCES)
    content_path = serializers.CharField(required=False, allow_blank=True)
    course_id = serializers.CharField(required=False, allow_blank=True, allow_null=True)
    course_readable_id = serializers.CharField(required=False, allow_blank=True, allow_null=True)


class OvsVideo(serializers.Serializer):
    """An OVS video to store (`key`) or to delete (`video_id` and `delete`)."""

    key = serializers.RegexField(OVS_KEY, required=False)
    video_id = serializers.RegexField(OVS_KEY, required=False)
    delete = serializers.BooleanField(required=False, default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Asks for the id that the operation needs; an upsert's media and collection are judged as well."""
        if attrs["delete"]:
            if not attrs.get("video_id"):
                raise serializers.ValidationError({"video_id": "video_id is required for delete"})
            return attrs
        if not self.initial_data.get("key"):
            raise serializers.ValidationError({"key": "key is required for upsert"})
        refused = {
            field: f"url is not on an allowed OVS media host: {url}"
            for field, url in self.media()
            if url and trusted_url(url) is None
        }
        if refused:
            raise serializers.ValidationError(refused)
        self.check_collection()
        return attrs

    def media(self) -> Iterator[tuple[str, Any]]:
        """Every URL of the payload with the field it stands in; refuses lists of the wrong shape on the way."""
        yield "cta_link", self.initial_data.get("cta_link")
        for field, member in (
            ("sources", "src"),
            ("videothumbnail_set", "cloudfront_url"),
            ("videosubtitle_set", None),
        ):
            items = self.initial_data.get(field)
            if items is None:
                continue
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise serializers.ValidationError({field: f"{field} must be a list of objects"})
            yield from ((field, item.get(member)) for item in items if member)

    def check_collection(self) -> None:
        """Refuses a collection that is no object, or whose key could not be a playlist id."""
        collection = self.initial_data.get("collection") or {}
        if not isinstance(collection, dict):
            raise serializers.ValidationError({"collection": "collection must be an object"})
        key = collection.get("key")
        if key and not re.match(OVS_KEY, str(key)):
            raise serializers.ValidationError({"collection": "collection key contains invalid characters"})


class LearningResource(serializers.Serializer):
    """The least a pushed resource must say of itself."""

    readable_id = serializers.CharField()
    etl_source = serializers.ChoiceField(choices=SOURCES)
    resource_type = serializers.CharField()


class LearningResources(serializers.Serializer):
    """A batch of resources, as our platform sends it and as MIT Learn does not take it yet."""

    resources = LearningResource(many=True)


def trusted_url(url: object) -> ParseResult | None:
    """The URL taken apart when it is https, on an allowed host, and means the same to urllib and to a browser."""
    if not isinstance(url, str):
        return None
    try:
        parsed = urlparse(url)
        host = (parsed.hostname or "").lower()
    except ValueError:
        return None
    if parsed.scheme != "https" or not host or "\\" in parsed.netloc or "@" in parsed.netloc:
        return None
    allowed = [name.lower() for name in settings.OVS_ALLOWED_MEDIA_HOSTS]
    allowed.append((urlparse(settings.OVS_API_BASE_URL).hostname or "").lower())
    ours = any(host == name or (name.startswith(".") and host.endswith(name)) for name in allowed if name)
    return parsed if ours else None
