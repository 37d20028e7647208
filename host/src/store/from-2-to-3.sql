-- What version 3 has beside version 2. `schema.sql` is the whole of it; a test compares the two.
DROP INDEX outbox_sent;
CREATE INDEX outbox_sent ON outbox (sent_seq) WHERE state = 'sent';
CREATE INDEX intent_of_tenant ON intent (tenant, seq);
CREATE INDEX approval_of_tenant ON approval (tenant, seq);
CREATE INDEX approval_pending_of_tenant ON approval (tenant, seq) WHERE state = 'pending';
CREATE INDEX outbox_of_tenant ON outbox (tenant, armed_ms);
CREATE INDEX outbox_open_of_tenant ON outbox (tenant, armed_ms) WHERE state IN ('queued', 'attempting', 'uncertain');

CREATE TABLE idempotency (
    tenant TEXT NOT NULL, user TEXT NOT NULL, key TEXT NOT NULL,
    -- SHA-256 of what was asked.
    request BLOB NOT NULL, intent TEXT NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, user, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_oldest ON idempotency (at_ms);
CREATE TABLE person (
    tenant TEXT NOT NULL, name TEXT NOT NULL,
    -- A JSON list. The password is hashed, and missing until its owner has chosen one.
    roles TEXT NOT NULL, password TEXT, added_ms INTEGER NOT NULL, added_by TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
CREATE TABLE invitation (
    digest BLOB PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, made_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE session (
    digest BLOB PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL,
    made_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_of_person ON session (tenant, name);
CREATE TABLE token (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL, label TEXT NOT NULL, roles TEXT NOT NULL,
    made_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, used_ms INTEGER
) WITHOUT ROWID;
CREATE INDEX token_of_person ON token (tenant, name);

-- There was one tenant.
ALTER TABLE audit RENAME TO audit_of_main;
CREATE TABLE audit (
    tenant TEXT NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (tenant, seq)
) WITHOUT ROWID;
INSERT INTO audit SELECT 'main', seq, at_ms, kind, body, hash FROM audit_of_main;
DROP TABLE audit_of_main;
