"""The Docker Engine API (moby's `api/swagger.yaml`, 1.24 to 1.44) over the engine's services.

server.py     the socket, the life of a request        router.py     paths to handlers, versions
status.py     the one map from error to HTTP status    query.py      parameters of a URL
fields.py     typed reading of JSON bodies             hijack.py     connections that become streams
create_*.py   bodies of containers to be               render_*.py   answers
routes/       one file a noun
"""
