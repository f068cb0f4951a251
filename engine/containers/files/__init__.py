"""The files of containers: copied in and out, browsed, compared with the image, exported, made into an image."""
