"""The routes: three as MIT Learn has them, and `learning_resources` only when the program was asked for it.

`content_files/delete/` has no `$` there, so whatever follows it still matches. No route matches without its slash.
"""

from django.urls import include, re_path

from learn import views
from learn.world import world

handler400 = "learn.handlers.client_error"
handler403 = "learn.handlers.client_error"
handler404 = "learn.handlers.client_error"

webhooks = [
    re_path(r"^content_files/$", views.ContentFiles.as_view(), name="content_file_webhook"),
    re_path(r"^content_files/delete/", views.ContentFilesDelete.as_view(), name="content_file_delete_webhook"),
    re_path(r"^ovs_videos/$", views.OvsVideos.as_view(), name="ovs_video_webhook"),
]
if world.with_learning_resources:
    webhooks.append(re_path(r"^learning_resources/$", views.LearningResources.as_view(), name="learning_resources"))

urlpatterns = [re_path(r"^api/v1/webhooks/", include((webhooks, "v1")))]
