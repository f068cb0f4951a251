-- Why containers ended: kept for a while after the container itself has gone.
CREATE TABLE deaths (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    container TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX deaths_container ON deaths (container, id);
