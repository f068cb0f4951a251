"""What containers have printed, on the disk: written by conmon, cut into files, read, and followed."""
