"""Thin wrappers on what the kernel offers: mounts, namespaces, cgroups, processes. They hold no policy.

A wrapper raises `OSError` with the path it was about.
"""
