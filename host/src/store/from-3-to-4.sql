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

-- A message counts as the same by what is seen of it. The digests are filled in by the host, which draws every message once more.
DROP INDEX approval_of_content;
ALTER TABLE approval RENAME COLUMN content_digest TO drawn_digest;
CREATE INDEX approval_of_drawn ON approval (tenant, user, drawn_digest, asked_ms) WHERE drawn_digest IS NOT NULL;
ALTER TABLE outbox ADD COLUMN drawn_digest BLOB;
CREATE INDEX outbox_of_drawn ON outbox (tenant, user, drawn_digest);

-- Who asked.
ALTER TABLE intent ADD COLUMN submitted_by TEXT;
