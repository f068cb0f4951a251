"""The OCI runtime specification of a container: values in, `config.json` out. Nothing here starts anything."""
