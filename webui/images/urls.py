from django.urls import path

from webui.images import views

urlpatterns = [
    path("", views.image_list, name="images"),
    path("pull/", views.image_pull, name="image-pull"),
    path("remove/", views.image_remove, name="image-remove"),
]
