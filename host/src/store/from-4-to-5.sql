-- What version 5 has beside version 4. `schema.sql` is the whole of it; a test compares the two.

ALTER TABLE intent ADD COLUMN line INTEGER;
CREATE INDEX intent_line ON intent (tenant, user, agent, line) WHERE line IS NOT NULL;
DROP INDEX intent_open;
CREATE INDEX intent_open ON intent (digest) WHERE status IN ('running', 'waiting', 'sending', 'blocked');
DROP INDEX approval_pending_of_agent;
CREATE INDEX approval_pending_of_agent ON approval (tenant, user, agent) WHERE state = 'pending';

-- Who wrote what leaves in place of the agent's own.
ALTER TABLE approval ADD COLUMN edited_by TEXT;

-- What was released where there is no way out has not left. Nothing was ever attempted of it.
UPDATE outbox SET state = 'kept' WHERE state = 'sent' AND attempts = 0 AND outcome IS NULL;
DROP INDEX outbox_sent_of_user;
DROP INDEX outbox_sent;
CREATE INDEX outbox_sent_of_user ON outbox (tenant, user, sent_seq) WHERE state IN ('sent', 'kept');
CREATE INDEX outbox_sent ON outbox (sent_seq) WHERE state IN ('sent', 'kept');
