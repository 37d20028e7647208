-- What version 4 has beside version 3. `schema.sql` is the whole of it; a test compares the two.

-- The domains a user has written to, by their registrable part: what only looks like one of them is told apart by their names,
-- so that these stand here as they are, and stay when messages are purged.
CREATE TABLE correspondent_domain (
    seq INTEGER PRIMARY KEY, tenant TEXT NOT NULL, user TEXT NOT NULL, domain TEXT NOT NULL, UNIQUE (tenant, user, domain)
);
ALTER TABLE mail ADD COLUMN identity BLOB;
CREATE UNIQUE INDEX mail_by_identity ON mail (tenant, user, identity) WHERE identity IS NOT NULL;
ALTER TABLE outbox ADD COLUMN until_ms INTEGER;
CREATE INDEX outbox_not_sent ON outbox (tenant, user, armed_ms) WHERE state = 'not_sent';
ALTER TABLE intent ADD COLUMN full_now INTEGER;
