from django.urls import path

from webui.networks import views

urlpatterns = [
    path("", views.network_list, name="networks"),
    path("new/", views.network_create, name="network-create"),
    path("remove/", views.network_remove, name="network-remove"),
    path("prune/", views.network_prune, name="network-prune"),
    path("<str:network_id>/row/", views.network_row, name="network-row"),
    path("<str:network_id>/connect/", views.network_connect, name="network-connect"),
    path("<str:network_id>/disconnect/", views.network_disconnect, name="network-disconnect"),
    path("<str:network_id>/", views.network_detail, name="network"),
]
