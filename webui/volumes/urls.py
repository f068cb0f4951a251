from django.urls import path

from webui.volumes import views

urlpatterns = [
    path("", views.volume_list, name="volumes"),
    path("new/", views.volume_create, name="volume-create"),
    path("remove/", views.volume_remove, name="volume-remove"),
    path("prune/", views.volume_prune, name="volume-prune"),
    path("sizes/", views.volume_sizes, name="volume-sizes"),
    path("v/<path:name>/", views.volume_detail, name="volume"),
]
