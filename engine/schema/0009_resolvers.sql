-- Containers that ask the engine for names, and where it asks for those that no container has (addresses as JSON).
CREATE TABLE resolvers (
    container_id TEXT PRIMARY KEY,
    servers TEXT NOT NULL
) STRICT;
