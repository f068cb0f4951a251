from django.urls import path

from webui.registries import views

urlpatterns = [
    path("", views.registry_list, name="registries"),
    path("new/", views.registry_create, name="registry-create"),
    path("<int:registry_id>/", views.registry_edit, name="registry"),
    path("<int:registry_id>/test/", views.registry_test, name="registry-test"),
    path("<int:registry_id>/remove/", views.registry_remove, name="registry-remove"),
]
