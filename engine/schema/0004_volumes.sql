CREATE TABLE volumes (
    name TEXT PRIMARY KEY,
    created INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;
-- Which containers have a volume in use at this moment: a volume with a device is mounted while there is one.
CREATE TABLE volume_users (
    volume TEXT NOT NULL REFERENCES volumes (name) ON DELETE CASCADE,
    container TEXT NOT NULL,
    PRIMARY KEY (volume, container)
) STRICT, WITHOUT ROWID;
