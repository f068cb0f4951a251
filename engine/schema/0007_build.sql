-- What builds have made: each step's image, by what it was made of.
CREATE TABLE build_cache (
    key         TEXT PRIMARY KEY,     -- sha256 of the step before, the instruction and its inputs
    parent      TEXT NOT NULL,        -- key of the step before
    image_id    TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    instruction TEXT NOT NULL,        -- as written, for people and for telling why there is no hit
    inputs      TEXT NOT NULL,        -- JSON: digests of files and arguments, by name
    size        INTEGER NOT NULL,     -- bytes of the step's layer
    created     INTEGER NOT NULL,     -- ns since the epoch
    used        INTEGER NOT NULL,     -- when it was last taken, ns since the epoch
    uses        INTEGER NOT NULL DEFAULT 0,
    result      INTEGER NOT NULL DEFAULT 0  -- 1: its image was what a build was for, with or without a name
) STRICT, WITHOUT ROWID;
CREATE INDEX build_cache_by_image ON build_cache (image_id);
CREATE INDEX build_cache_by_parent ON build_cache (parent);
CREATE INDEX build_cache_by_instruction ON build_cache (instruction);
-- Directories of RUN --mount=type=cache.
CREATE TABLE build_mounts (
    id      TEXT PRIMARY KEY,         -- name of the directory
    name    TEXT NOT NULL,            -- the mount's id
    created INTEGER NOT NULL,
    used    INTEGER NOT NULL,
    uses    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
