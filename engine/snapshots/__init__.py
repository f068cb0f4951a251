"""Image layers on disk and the writable trees that containers get on top of them (overlayfs)."""
