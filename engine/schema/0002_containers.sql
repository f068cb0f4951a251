-- One row a container; the document holds what it was made from and its state (engine/containers/records.py).
CREATE TABLE containers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    image TEXT NOT NULL,
    created INTEGER NOT NULL,
    status TEXT NOT NULL,
    document TEXT NOT NULL
) STRICT;

CREATE INDEX containers_by_image ON containers (image);
