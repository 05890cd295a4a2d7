"""The endpoints. Their checks come in MIT Learn's order: method, signature, no CSRF, then the view.

A refusal by the signature, or of a content_files payload, goes through the error handlers (405 on a POST). A refusal of
an OVS payload is DRF's own (400). What nobody catches is 500: a body that is not UTF-8, a failing broker or loader.
"""

import functools
import json
from collections.abc import Callable
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from learn import serializers, signatures
from learn.world import EXCHANGE, Exchange, world

TITLE_LENGTH = 256


class BrokerDown(Exception):
    """There is no broker to hand a task to."""


class LoaderFailed(Exception):
    """The OVS loader could not store a video."""


def exchange_of(request: HttpRequest | Request) -> Exchange:
    """The exchange that the recorder attached to the request."""
    return request.META[EXCHANGE]


def require_signature(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Refuses a request whose body is not signed with the secret; reading too large a body refuses it as well."""

    @functools.wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Compares the header with the body's own signature."""
        signature = request.headers.get(signatures.HEADER)
        if signature is None or not signatures.matches(exchange_of(request).secret, request.body, signature):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return checked


class Webhook(GenericAPIView):
    """What all endpoints share: the order of the checks, JSON or nothing, and the answer of success."""

    permission_classes = []
    authentication_classes = []

    @method_decorator(require_POST)
    @method_decorator(require_signature)
    @method_decorator(non_atomic_requests)
    @method_decorator(csrf_exempt)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Hands the request to DRF once method and signature are right."""
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: Request) -> HttpResponseBase:
        """Takes the body as JSON, whatever its content type says; malformed JSON is 400 in plain words."""
        try:
            payload = json.loads(request.body)
        except json.JSONDecodeError:
            return HttpResponseBadRequest("Invalid JSON format")
        exchange_of(request).effect = self.effect(payload)
        return Response({"status": "success", "message": "Webhook received"})

    def effect(self, payload: Any) -> str:
        """Does what the payload asks for and returns the word for it that the journal keeps."""
        raise NotImplementedError

    def fail_if_poisoned(self, error: type[Exception], kind: str, argument: str | None = None) -> None:
        """Raises the error when a fault of that kind is in force."""
        if fault := world.faults.take(kind, argument=argument):
            exchange_of(self.request).faults.append(fault.name)
            raise error


class ContentFiles(Webhook):
    """A content archive to ingest: queues a task, and says nothing about what becomes of it."""

    serializer_class = serializers.ContentFiles

    def effect(self, payload: Any) -> str:
        """Queues the task that the source calls for."""
        data = self.validated(payload)
        self.fail_if_poisoned(BrokerDown, "celery-down")
        return "ingest_canvas_course" if data["source"] == "canvas" else "ingest_edx_run_archive"

    def validated(self, payload: Any) -> dict[str, Any]:
        """The payload's known fields; raises Django's BadRequest, which DRF leaves to the error handlers."""
        serializer = self.get_serializer(data=payload)
        if not serializer.is_valid():
            raise BadRequest("Invalid data")
        return serializer.validated_data


class ContentFilesDelete(ContentFiles):
    """A course to delete, found by the start of its id."""

    def effect(self, payload: Any) -> str:
        """Deletes the one resource that matches; none is fine, several are an error that nobody catches."""
        data = self.validated(payload)
        course_id = data.get("course_id")
        if not course_id:
            return "ignored"
        prefix = f"{course_id}-" if data["source"] == "canvas" else course_id
        return "deleted" if world.delete_by_prefix(data["source"], prefix) else "unknown"


class OvsVideos(Webhook):
    """A video to store or to delete, at once."""

    serializer_class = serializers.OvsVideo

    def effect(self, payload: Any) -> str:
        """Deletes by the validated id, or stores by the key as the payload has it, which is what the loader reads."""
        serializer = self.get_serializer(data=payload)
        serializer.is_valid(raise_exception=True)
        if serializer.validated_data["delete"]:
            return "deleted" if world.delete("ovs", serializer.validated_data["video_id"]) else "unknown"
        self.fail_if_poisoned(LoaderFailed, "loader-error", str(payload["key"]))
        if not loads(payload):
            return "nothing stored"
        world.store("ovs", str(payload["key"]))
        return "stored"


class LearningResources(Webhook):
    """The endpoint our platform posts to daily and MIT Learn lacks; here for the day it has it."""

    serializer_class = serializers.LearningResources

    def effect(self, payload: Any) -> str:
        """Stores every resource of the batch."""
        serializer = self.get_serializer(data=payload)
        serializer.is_valid(raise_exception=True)
        for resource in serializer.validated_data["resources"]:
            world.store(resource["etl_source"], resource["readable_id"])
        return "stored"


def loads(payload: dict[str, Any]) -> bool:
    """Whether the loader stores the video: not without a stream; blows up on some of what validation let pass.

    It reads the raw payload: lists that are null rather than absent, a title that is null or longer than its column, a
    date or a duration that is none, all pass validation and fail here.
    """
    streams = [serializers.trusted_url(source.get("src")) for source in payload.get("sources", [])]
    if not any(stream is not None and stream.path.endswith(".m3u8") for stream in streams):
        return False
    if payload.get("videothumbnail_set", []) is None or payload.get("videosubtitle_set", []) is None:
        raise LoaderFailed("a list is null")
    collection = payload.get("collection") or {}
    for titled in [payload] + ([collection] if collection.get("key") else []):
        title = titled.get("title", "")
        if title is None or len(str(title)) > TITLE_LENGTH:
            raise LoaderFailed("a title does not fit its column")
    created = payload.get("created_at")
    if created is not None and parse_datetime(str(created)) is None and parse_date(str(created)) is None:
        raise LoaderFailed("created_at is no date")
    int(payload.get("duration", 0) or 0)
    return True
