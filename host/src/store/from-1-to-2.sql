-- What version 2 has beside version 1. `schema.sql` is the whole of it; a test compares the two.
DROP INDEX intent_open;
CREATE INDEX intent_open ON intent (digest) WHERE status IN ('running', 'waiting', 'sending');

CREATE TABLE policy (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
-- What was asked before there were policies was asked under the default one.
INSERT INTO policy VALUES (1, '{"hold":true,"html":true,"recipients":null,"pending_ms":259200000}');
ALTER TABLE approval ADD COLUMN edited BLOB;
ALTER TABLE approval ADD COLUMN policy INTEGER NOT NULL DEFAULT 1;
CREATE INDEX approval_of_content ON approval (tenant, user, content_digest, asked_ms) WHERE content_digest IS NOT NULL;

ALTER TABLE outbox ADD COLUMN bytes_digest BLOB;
ALTER TABLE outbox ADD COLUMN number INTEGER;
ALTER TABLE outbox ADD COLUMN request TEXT;
ALTER TABLE outbox ADD COLUMN answer TEXT;
ALTER TABLE outbox ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN due_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN resent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN outcome TEXT;
CREATE INDEX outbox_of_user ON outbox (tenant, user, armed_ms);
CREATE INDEX outbox_open ON outbox (tenant, user, armed_ms) WHERE state IN ('queued', 'attempting', 'uncertain');

CREATE TABLE correspondent (
    tenant TEXT NOT NULL, user TEXT NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (tenant, user, digest)
) WITHOUT ROWID;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL
);
