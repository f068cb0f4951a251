from django.urls import path

from webui.images import uploading, views

urlpatterns = [
    path("", views.image_list, name="images"),
    path("pull/", views.image_pull, name="image-pull"),
    path("remove/", views.image_remove, name="image-remove"),
    path("prune/", views.image_prune, name="image-prune"),
    path("compare/", views.image_compare, name="image-compare"),
    path("load/", uploading.image_load, name="image-load"),
    path("uploads/", uploading.upload_begin, name="upload-begin"),
    path("uploads/<uuid:upload_id>/", uploading.upload_piece, name="upload-piece"),
    path("<str:image_id>/", views.image_detail, name="image"),
    path("<str:image_id>/tag/", views.image_tag, name="image-tag"),
    path("<str:image_id>/untag/", views.image_untag, name="image-untag"),
    path("<str:image_id>/push/", views.image_push, name="image-push"),
    path("<str:image_id>/save/", views.image_save, name="image-save"),
]
