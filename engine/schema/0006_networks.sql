-- Networks of one's own: what they were asked for is in the document (engine/networks/records.py).
ALTER TABLE networks ADD COLUMN document TEXT NOT NULL DEFAULT '{}';
-- 1: its removal has begun, nobody may join it any more.
ALTER TABLE networks ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;

UPDATE networks SET document = json_object('pools', json_array(json_object('subnet', subnet, 'gateway', gateway)))
    WHERE subnet IS NOT NULL;

ALTER TABLE networks DROP COLUMN subnet;
ALTER TABLE networks DROP COLUMN gateway;

ALTER TABLE endpoints ADD COLUMN address6 TEXT;
ALTER TABLE endpoints ADD COLUMN interface TEXT NOT NULL DEFAULT 'eth0';
-- Names, links and the rest (engine/networks/records.py).
ALTER TABLE endpoints ADD COLUMN document TEXT NOT NULL DEFAULT '{}';

CREATE UNIQUE INDEX endpoints_by_address6 ON endpoints (network_id, address6);
CREATE UNIQUE INDEX endpoints_by_interface ON endpoints (container_id, interface);

-- What a container asks of its networks is a part of it; until now there was one, named by its mode.
UPDATE containers
SET document = json_set(document, '$.container.attachments', json_array(json_object('network',
    CASE json_extract(document, '$.container.host.network_mode')
        WHEN 'default' THEN 'bridge'
        ELSE json_extract(document, '$.container.host.network_mode')
    END,
    'mac', coalesce(json_extract(document, '$.container.config.mac_address'), ''))))
WHERE json_extract(document, '$.container.host.network_mode') NOT LIKE 'container:%';
