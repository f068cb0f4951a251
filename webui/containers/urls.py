from django.urls import path

from webui.containers import create_views, file_views, views

urlpatterns = [
    path("", views.container_list, name="containers"),
    path("loss/", views.containers_loss, name="containers-loss"),
    path("stopped/", views.containers_stopped, name="containers-stopped"),
    path("act/", views.container_act, name="containers-act"),
    path("new/", create_views.container_create, name="container-create"),
    path("new/check/", create_views.container_check, name="container-check"),
    path("new/command/", create_views.container_command, name="container-command"),
    path("<str:container_id>/edit/", create_views.container_edit, name="container-edit"),
    path("<str:container_id>/row/", views.container_row, name="container-row"),
    path("<str:container_id>/head/", views.container_head, name="container-head"),
    path("<str:container_id>/", views.container_overview, name="container"),
    path("<str:container_id>/logs/", views.container_logs, name="container-logs"),
    path("<str:container_id>/logs/download/", views.container_logs_download, name="container-logs-download"),
    path("<str:container_id>/terminal/", views.container_terminal, name="container-terminal"),
    path("<str:container_id>/inspect/", views.container_inspect, name="container-inspect"),
    path("<str:container_id>/usage/", views.container_usage, name="container-usage"),
    path("<str:container_id>/processes/", views.container_processes, name="container-processes"),
    path("<str:container_id>/changes/", views.container_changes, name="container-changes"),
    path("<str:container_id>/deaths/", views.container_deaths, name="container-deaths"),
    path("<str:container_id>/files/", file_views.container_files, name="container-files"),
    path("<str:container_id>/files/read/", file_views.container_file, name="container-file"),
    path("<str:container_id>/files/download/", file_views.container_download, name="container-download"),
    path("<str:container_id>/files/upload/", file_views.container_upload, name="container-upload"),
    path("<str:container_id>/commit/", views.container_commit, name="container-commit"),
    path("<str:container_id>/export/", file_views.container_export, name="container-export"),
    path("<str:container_id>/update/", views.container_update, name="container-update"),
]
