//! Setting the host's time back, after a clock that was far ahead.

use super::{Place, Store, audit, decisions};
use crate::audit::{Fact, Whose};
use crate::clock::{AHEAD_MS_MAX, Millis, rfc3339};
use crate::people::TENANT;
use crate::refusals::Result;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

/// What ends, or waits, at an instant and began after `?2`: it is moved by as much as the host's time is, `?1`, so that it lasts as long as
/// it would have.
///
/// Of approvals those that can still let something leave. What ended long ago says when it ended.
const MOVED: [&str; 5] = [
    "UPDATE approval SET expires_ms = expires_ms - ?1 WHERE asked_ms > ?2 AND (state IN ('pending', 'approved') \
     OR id IN (SELECT approval FROM outbox WHERE state IN ('queued', 'attempting', 'uncertain', 'not_sent')))",
    "UPDATE outbox SET due_ms = due_ms - ?1, until_ms = until_ms - ?1 \
     WHERE armed_ms > ?2 AND state IN ('queued', 'attempting', 'uncertain')",
    "UPDATE invitation SET expires_ms = expires_ms - ?1 WHERE made_ms > ?2",
    "UPDATE session SET expires_ms = expires_ms - ?1 WHERE made_ms > ?2",
    "UPDATE token SET expires_ms = expires_ms - ?1 WHERE made_ms > ?2",
];

/// What has happened has not happened in the future: where it would stand there, it has happened now. Otherwise it would lead every
/// list, count as recent and be kept, for years.
const CLAMPED: [&str; 16] = [
    "UPDATE intent SET submitted_ms = ?1 WHERE submitted_ms > ?1",
    "UPDATE intent SET updated_ms = ?1 WHERE updated_ms > ?1",
    "UPDATE approval SET asked_ms = ?1 WHERE asked_ms > ?1",
    "UPDATE approval SET decided_ms = ?1 WHERE decided_ms > ?1",
    "UPDATE outbox SET armed_ms = ?1 WHERE armed_ms > ?1",
    "UPDATE outbox SET sent_ms = ?1 WHERE sent_ms > ?1",
    "UPDATE idempotency SET at_ms = ?1 WHERE at_ms > ?1",
    "UPDATE session SET used_ms = ?1 WHERE used_ms > ?1",
    "UPDATE session SET made_ms = ?1 WHERE made_ms > ?1",
    "UPDATE token SET made_ms = ?1 WHERE made_ms > ?1",
    "UPDATE token SET used_ms = ?1 WHERE used_ms > ?1",
    "UPDATE invitation SET made_ms = ?1 WHERE made_ms > ?1",
    "UPDATE person SET added_ms = ?1 WHERE added_ms > ?1",
    "UPDATE agent SET installed_ms = ?1 WHERE installed_ms > ?1",
    "UPDATE capability_grant SET granted_ms = ?1 WHERE granted_ms > ?1",
    "UPDATE mail SET timestamp_ms = ?1 WHERE timestamp_ms > ?1",
];

/// The latest time that was given up, in `meta`. Whatever was on its way then comes back with it, and must not end what is open a second time.
const GIVEN_UP: &str = "given_up_ms";

impl Store {
    /// Sets the time back from `from` to `to`, all or nothing. What is over by `from` has expired; what is not lasts as long from `to`
    /// on as it would have from `from` on. So nothing lives longer than the host's time says, whichever clock was wrong. Gives the
    /// intents that can be picked up.
    pub async fn set_back(&self, from: Millis, to: Millis) -> Result<Vec<Place>> {
        self.write(move |db| set_back(db, from, to)).await
    }

    /// The same before anything runs that the writing thread would have to share a commit with.
    pub fn set_back_at_once(&self, from: Millis, to: Millis) -> Result<()> {
        self.read(|db| {
            let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
            // Another process may have been faster.
            let sql = "SELECT 1 FROM meta WHERE key = 'latest_ms' AND value >= ?1";
            if transaction.prepare_cached(sql)?.exists([from])? {
                set_back(&transaction, from, to)?;
            }
            Ok(transaction.commit()?)
        })
    }
}

fn set_back(db: &Connection, from: Millis, to: Millis) -> Result<Vec<Place>> {
    let given_up: Option<Millis> = db
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([GIVEN_UP], |row| row.get(0))
        .optional()?;
    // A write that took its time before that was given up, in this process or another, has brought it back: only what began in it is moved.
    let is_late = given_up.is_some_and(|given_up| from <= given_up + AHEAD_MS_MAX);
    let (woken, began_after) = match is_late {
        true => (decisions::expire_all(db, to)?, to + AHEAD_MS_MAX),
        false => (decisions::expire_all(db, from)?, Millis::MIN),
    };
    let mark = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = max(value, ?2)";
    db.prepare_cached(mark)?.execute(params![GIVEN_UP, from])?;
    for sql in MOVED {
        db.prepare_cached(sql)?.execute([from - to, began_after])?;
    }
    for sql in CLAMPED {
        db.prepare_cached(sql)?.execute([to])?;
    }
    let fact = Fact::Clock { from: rfc3339(from), to: rfc3339(to) };
    audit::append(db, to, Whose { tenant: TENANT, user: None }, &fact)?;
    db.prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'latest_ms'")?.execute(params![to])?;
    Ok(woken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::decision::State;

    const HOUR: Millis = 60 * 60 * 1000;
    const TODAY: Millis = crate::clock::BUILT_MS + 300 * 24 * HOUR;
    const AHEAD: Millis = TODAY + 14 * 365 * 24 * HOUR;

    /// A run that waits for each of these approvals: its id, when it was asked and when it expires.
    fn waiting(approvals: &[(&str, Millis, Millis)]) -> Store {
        let store = Store::in_memory().unwrap();
        let mut rows = format!("UPDATE meta SET value = {AHEAD} WHERE key = 'latest_ms';");
        for (seq, (id, asked, expires)) in approvals.iter().enumerate() {
            rows += &format!(
                "INSERT INTO intent (seq, id, tenant, user, agent, digest, action, parameters, run, seed, submitted_ms, \
                 host_version, status, generation, fuel, log, updated_ms) \
                 VALUES ({seq}, 'int_{id}', 'main', 'local', 'mailer', zeroblob(32), 'a', '{{}}', 1, zeroblob(32), 0, '0', 'waiting', \
                 1, 0, '', {asked}); \
                 INSERT INTO approval (id, intent, tenant, user, agent, number, state, binding, digest, words, asked_ms, expires_ms, \
                 policy) VALUES ('{id}', {seq}, 'main', 'local', 'mailer', 0, 'pending', 'question', zeroblob(32), '{{}}', {asked}, \
                 {expires}, 1);"
            );
        }
        store.read(|db| Ok(db.execute_batch(&rows)?)).unwrap();
        store
    }

    fn found(store: &Store, id: &str) -> (String, Millis, Millis) {
        let sql = "SELECT state, asked_ms, expires_ms FROM approval WHERE id = ?1";
        store
            .read(|db| Ok(db.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?))
            .unwrap()
    }

    #[tokio::test]
    async fn what_is_open_lasts_as_long_as_it_would_have_and_what_is_over_has_ended() {
        let store =
            waiting(&[("old", TODAY - HOUR, TODAY + 71 * HOUR), ("new", AHEAD - HOUR, AHEAD + 71 * HOUR)]);
        let woken = store.set_back(AHEAD, TODAY).await.unwrap();
        // Whichever clock was wrong: by the time the host has seen, this one was over.
        assert_eq!(woken.iter().map(|place| place.intent.as_str()).collect::<Vec<_>>(), ["int_old"]);
        assert_eq!(found(&store, "old").0, State::Expired.name());
        assert_eq!(found(&store, "new"), (State::Pending.name().into(), TODAY, TODAY + 71 * HOUR));
        assert_eq!(store.latest().unwrap(), TODAY);
        assert!(store.expire(TODAY + 71 * HOUR - 1).await.unwrap().is_empty());
        assert_eq!(store.expire(TODAY + 71 * HOUR).await.unwrap().len(), 1);
        let audited = store.audit(TENANT, None).unwrap();
        assert_eq!(audited.broken, None);
    }

    #[tokio::test]
    async fn what_was_on_its_way_when_time_was_set_back_ends_nothing_a_second_time() {
        let store =
            waiting(&[("open", AHEAD, AHEAD + 72 * HOUR), ("late", AHEAD + 1_000, AHEAD + 72 * HOUR)]);
        // This one is committed only behind the setting back.
        let late = "UPDATE approval SET state = 'pending', asked_ms = ?1, expires_ms = ?2 WHERE id = 'late'";
        store.read(|db| Ok(db.execute(late, [TODAY, TODAY + HOUR])?)).unwrap();
        store.set_back(AHEAD, TODAY).await.unwrap();
        let commit = move |db: &Connection| {
            db.execute(late, [AHEAD + 1_000, AHEAD + 72 * HOUR])?;
            Ok(super::super::touch(db, AHEAD + 1_000)?)
        };
        store.write(commit).await.unwrap();
        assert_eq!(store.latest().unwrap(), AHEAD + 1_000);
        assert!(store.set_back(AHEAD + 1_000, TODAY + 2).await.unwrap().is_empty(), "nothing has ended");
        assert_eq!(found(&store, "open"), (State::Pending.name().into(), TODAY, TODAY + 72 * HOUR));
        let (state, asked, expires) = found(&store, "late");
        assert_eq!((state.as_str(), asked), (State::Pending.name(), TODAY + 2));
        assert!(expires <= TODAY + 73 * HOUR, "{expires}");
    }

    #[tokio::test]
    async fn it_is_set_back_once_however_many_processes_begin() {
        let store = waiting(&[("new", AHEAD, AHEAD + 72 * HOUR)]);
        for _ in 0..2 {
            store.set_back_at_once(AHEAD, TODAY).unwrap();
        }
        assert_eq!(found(&store, "new"), (State::Pending.name().into(), TODAY, TODAY + 72 * HOUR));
    }
}
