from django.urls import path

from webui.builds import views

urlpatterns = [
    path("", views.build_list, name="builds"),
    path("new/", views.build_new, name="build-new"),
    path("check/", views.build_check, name="build-check"),
    path("<uuid:build_id>/", views.build_detail, name="build"),
    path("<uuid:build_id>/state/", views.build_state, name="build-state"),
    path("<uuid:build_id>/image/", views.build_image, name="build-image"),
    path("<uuid:build_id>/log/", views.build_log, name="build-log"),
]
