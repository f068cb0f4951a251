"""The two programs below a container: the OCI runtime, which makes it, and conmon, which stays with it."""
