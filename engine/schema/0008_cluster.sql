-- The mark of the cluster's store that this engine has told of its networks: a store with another mark has forgotten them.
CREATE TABLE cluster (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    epoch TEXT NOT NULL
);
