CREATE TABLE networks (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    driver TEXT NOT NULL,
    created INTEGER NOT NULL,
    subnet TEXT,
    gateway TEXT
) STRICT;

-- A container's place in a network. The address is taken for as long as the row is there.
CREATE TABLE endpoints (
    id TEXT PRIMARY KEY,
    network_id TEXT NOT NULL REFERENCES networks (id),
    container_id TEXT NOT NULL,
    address TEXT,
    mac TEXT NOT NULL,
    UNIQUE (network_id, address),
    UNIQUE (network_id, container_id)
) STRICT;

CREATE INDEX endpoints_by_container ON endpoints (container_id);

CREATE TABLE published_ports (
    container_id TEXT NOT NULL,
    container_port INTEGER NOT NULL,
    protocol TEXT NOT NULL,
    host_ip TEXT NOT NULL,
    host_port INTEGER NOT NULL,
    PRIMARY KEY (protocol, host_ip, host_port)
) STRICT;

CREATE INDEX published_ports_by_container ON published_ports (container_id);
