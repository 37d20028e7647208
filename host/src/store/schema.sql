CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- Components by digest, kept while an agent or an unfinished intent needs them.
CREATE TABLE component (digest BLOB PRIMARY KEY, bytes BLOB NOT NULL, manifest TEXT NOT NULL);
CREATE TABLE agent (
    tenant TEXT NOT NULL, id TEXT NOT NULL, digest BLOB NOT NULL, installed_ms INTEGER NOT NULL, installed_by TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
-- A grant belongs to a user, an agent and one digest of it.
CREATE TABLE capability_grant (
    tenant TEXT NOT NULL, user TEXT NOT NULL, agent TEXT NOT NULL, digest BLOB NOT NULL, capability TEXT NOT NULL,
    granted_ms INTEGER NOT NULL, granted_by TEXT NOT NULL,
    PRIMARY KEY (tenant, user, agent, digest, capability)
) WITHOUT ROWID;

CREATE TABLE intent (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL, user TEXT NOT NULL, agent TEXT NOT NULL, digest BLOB NOT NULL,
    action TEXT NOT NULL, parameters TEXT NOT NULL, text TEXT, run INTEGER NOT NULL, seed BLOB NOT NULL,
    submitted_ms INTEGER NOT NULL, host_version TEXT NOT NULL,
    status TEXT NOT NULL, generation INTEGER NOT NULL, fuel INTEGER NOT NULL,
    card TEXT, reason TEXT, log TEXT NOT NULL, retry_of TEXT, updated_ms INTEGER NOT NULL,
    -- 1 where its guest sees the time with three decimals; missing in runs of before, which are repeated as they were.
    full_now INTEGER,
    -- Who asked, and through what; missing where it was asked before this was written down.
    submitted_by TEXT,
    -- Where it stands among the runs of an agent that would ask the same person, while it does; none stand twice in the same place.
    line INTEGER
);
-- Indexes leave out what changes often: a commit writes every page it touches.
CREATE INDEX intent_of_user ON intent (tenant, user, seq);
CREATE INDEX intent_of_tenant ON intent (tenant, seq);
CREATE INDEX intent_line ON intent (tenant, user, agent, line) WHERE line IS NOT NULL;
CREATE INDEX intent_open ON intent (digest) WHERE status IN ('running', 'waiting', 'sending', 'blocked');

-- The journal. Text is inline; a 32-byte blob stands for text in `large` of that SHA-256.
CREATE TABLE entry (
    intent INTEGER NOT NULL, number INTEGER NOT NULL,
    call TEXT NOT NULL, request NOT NULL, refused INTEGER NOT NULL, answer NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (intent, number)
) WITHOUT ROWID;
-- What a branch read behind an ask: on yes it moves into the journal, on no it is deleted.
CREATE TABLE suffix (
    approval TEXT NOT NULL, number INTEGER NOT NULL,
    call TEXT NOT NULL, request NOT NULL, refused INTEGER NOT NULL, answer NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (approval, number)
) WITHOUT ROWID;
CREATE TABLE large (digest BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE approval (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    intent INTEGER NOT NULL, tenant TEXT NOT NULL, user TEXT NOT NULL, agent TEXT NOT NULL,
    number INTEGER NOT NULL, state TEXT NOT NULL, binding TEXT NOT NULL, digest BLOB NOT NULL,
    -- Names the message the agent would send by what is seen of it.
    drawn_digest BLOB,
    -- What the agent would send, and what leaves in its place where a person has changed it. `digest` names what leaves.
    action BLOB, edited BLOB, edited_by TEXT, words TEXT NOT NULL, ask_request TEXT, ask_yes TEXT, ask_no TEXT, ask_expired TEXT,
    asked_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
    verdict TEXT, decided_ms INTEGER, decided_by TEXT, note TEXT,
    -- What the operator allowed when it was asked, or else decided.
    policy INTEGER NOT NULL
);
CREATE INDEX approval_by_intent ON approval (intent, seq);
CREATE INDEX approval_of_user ON approval (tenant, user, seq);
CREATE INDEX approval_of_tenant ON approval (tenant, seq);
CREATE INDEX approval_pending_of_agent ON approval (tenant, user, agent) WHERE state = 'pending';
CREATE INDEX approval_open ON approval (expires_ms) WHERE state IN ('pending', 'approved');
CREATE INDEX approval_pending ON approval (tenant, user, seq) WHERE state = 'pending';
CREATE INDEX approval_pending_of_tenant ON approval (tenant, seq) WHERE state = 'pending';
CREATE INDEX approval_of_drawn ON approval (tenant, user, drawn_digest, asked_ms) WHERE drawn_digest IS NOT NULL;
CREATE TABLE policy (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);

-- One approval arms one message.
CREATE TABLE outbox (
    approval TEXT PRIMARY KEY, intent INTEGER NOT NULL, tenant TEXT NOT NULL, user TEXT NOT NULL,
    state TEXT NOT NULL, message TEXT, message_id TEXT NOT NULL UNIQUE,
    -- What was signed, the bytes that leave, and their SHA-256, which says whether the disk still has them as they were rendered.
    action BLOB NOT NULL, bytes BLOB NOT NULL, bytes_digest BLOB, armed_ms INTEGER NOT NULL, sent_ms INTEGER,
    -- Counts what has left, so that messages of one millisecond have an order.
    sent_seq INTEGER,
    -- The send that waits for it: its number in the journal, its arguments, and what it answers if the message has left.
    number INTEGER, request TEXT, answer TEXT,
    attempts INTEGER NOT NULL, due_ms INTEGER NOT NULL, resent INTEGER NOT NULL DEFAULT 0, outcome TEXT, until_ms INTEGER,
    -- Names what was signed by what is seen of it.
    drawn_digest BLOB
) WITHOUT ROWID;
CREATE INDEX outbox_of_user ON outbox (tenant, user, armed_ms);
CREATE INDEX outbox_open ON outbox (tenant, user, armed_ms) WHERE state IN ('queued', 'attempting', 'uncertain');
CREATE INDEX outbox_of_tenant ON outbox (tenant, armed_ms);
CREATE INDEX outbox_open_of_tenant ON outbox (tenant, armed_ms) WHERE state IN ('queued', 'attempting', 'uncertain');
CREATE INDEX outbox_sent_of_user ON outbox (tenant, user, sent_seq) WHERE state IN ('sent', 'kept');
CREATE INDEX outbox_sent ON outbox (sent_seq) WHERE state IN ('sent', 'kept');
CREATE INDEX outbox_not_sent ON outbox (tenant, user, armed_ms) WHERE state = 'not_sent';
CREATE INDEX outbox_by_intent ON outbox (intent);
CREATE INDEX outbox_of_drawn ON outbox (tenant, user, drawn_digest);

-- The embedded mailbox: incoming mail of every user. What has left is in the outbox.
CREATE TABLE mail (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, user TEXT NOT NULL, digest BLOB NOT NULL,
    sender TEXT NOT NULL, sender_lower TEXT NOT NULL, recipients TEXT NOT NULL, subject TEXT NOT NULL,
    body TEXT NOT NULL, truncated INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL, unread INTEGER NOT NULL, extras TEXT,
    -- SHA-256 of what makes it this message, whatever marks and traces it carries. Missing where version 3 imported it.
    identity BLOB,
    UNIQUE (tenant, user, digest)
);
CREATE UNIQUE INDEX mail_by_identity ON mail (tenant, user, identity) WHERE identity IS NOT NULL;
CREATE INDEX mail_newest ON mail (tenant, user, timestamp_ms, seq);
CREATE INDEX mail_by_sender ON mail (tenant, user, sender_lower, timestamp_ms, seq);
-- The message as it arrived.
CREATE TABLE mail_source (mail INTEGER PRIMARY KEY, bytes BLOB NOT NULL);

-- Whom a user has written to: SHA-256 of the address, so that what is purged leaves no address behind.
CREATE TABLE correspondent (
    tenant TEXT NOT NULL, user TEXT NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (tenant, user, digest)
) WITHOUT ROWID;

-- The domains a user has written to, by their registrable part: what only looks like one of them is told apart by their names,
-- so that these stand here as they are, and stay when messages are purged.
CREATE TABLE correspondent_domain (
    seq INTEGER PRIMARY KEY, tenant TEXT NOT NULL, user TEXT NOT NULL, domain TEXT NOT NULL, UNIQUE (tenant, user, domain)
);

-- A submission that carried a key: the same key again is the same intent, or a mistake.
CREATE TABLE idempotency (
    tenant TEXT NOT NULL, user TEXT NOT NULL, key TEXT NOT NULL,
    -- SHA-256 of what was asked.
    request BLOB NOT NULL, intent TEXT NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, user, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_oldest ON idempotency (at_ms);

-- People who sign in at a server. `user` of every other table is the name of one of them, or of nobody who signs in.
CREATE TABLE person (
    tenant TEXT NOT NULL, name TEXT NOT NULL,
    -- A JSON list. The password is hashed, and missing until its owner has chosen one.
    roles TEXT NOT NULL, password TEXT, added_ms INTEGER NOT NULL, added_by TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
-- Of links, sessions and tokens only the SHA-256 of the secret is kept.
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

-- Everything that was decided and everything that left, of each tenant: each hash covers the one before.
CREATE TABLE audit (
    tenant TEXT NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (tenant, seq)
) WITHOUT ROWID;
