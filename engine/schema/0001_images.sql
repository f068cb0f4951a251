-- Images: what the stores of content and layers are kept for.

CREATE TABLE images (
    id      TEXT PRIMARY KEY,             -- digest of the config
    size    INTEGER NOT NULL,             -- bytes of its layers, unpacked, each counted once
    parent  TEXT,                         -- id of the image that it was built on, if that was built here too
    added   INTEGER NOT NULL,             -- when it came here, ns since the epoch
    removed INTEGER NOT NULL DEFAULT 0    -- 1: gone for its users, kept for the layers of a container that uses it
) STRICT;

CREATE TABLE image_layers (
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,            -- 0 is the lowest
    diff_id  TEXT NOT NULL,
    blob     TEXT,                        -- the compressed layer in the content store, if it is kept
    PRIMARY KEY (image_id, position)
) STRICT;
CREATE INDEX image_layers_by_diff_id ON image_layers (diff_id);

CREATE TABLE image_blobs (
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    digest   TEXT NOT NULL,               -- config, manifest, index or compressed layer
    PRIMARY KEY (image_id, digest)
) STRICT;
CREATE INDEX image_blobs_by_digest ON image_blobs (digest);

CREATE TABLE image_tags (
    domain   TEXT NOT NULL,
    path     TEXT NOT NULL,
    tag      TEXT NOT NULL,
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (domain, path, tag)
) STRICT;
CREATE INDEX image_tags_by_image ON image_tags (image_id);

CREATE TABLE image_digests (
    domain   TEXT NOT NULL,
    path     TEXT NOT NULL,
    digest   TEXT NOT NULL,               -- of the manifest or index by which it was pulled
    image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (domain, path, digest)
) STRICT;
CREATE INDEX image_digests_by_image ON image_digests (image_id);
