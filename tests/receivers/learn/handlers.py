"""What a refused request looks like: one DRF function for 400, 403 and 404, and `error_type` on DRF's own errors.

The function accepts GET only, because `api_view()` without arguments does. Django hands it the refused request as it
was, so a refused POST is answered by DRF with 405, whatever the reason for the refusal. That is how MIT Learn has it,
and the single most misleading thing about it. The order of the handler's `Allow` differs from process to process: DRF
keeps those methods in a set.
"""

from typing import Any

from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import exception_handler


@api_view()
@permission_classes([AllowAny])
def client_error(request: Request, exception: Exception | None = None) -> Response:
    """Answers a refused GET with 404, whether the refusal was 400, 403 or 404."""
    return Response({"detail": "The specified resource was not found.", "error_type": "Http404"}, status=404)


def with_error_type(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's answer to an exception, with the exception's class name added when the body is an object."""
    response = exception_handler(exc, context)
    if response is not None and isinstance(response.data, dict):
        response.data["error_type"] = type(exc).__name__
    return response
