-- When an image was last given a name here, by a tag, a commit, a build or an import; not by a pull, a push or a load.
ALTER TABLE images ADD COLUMN tagged INTEGER;    -- ns since the epoch, NULL for never
