//! Signed messages on their way. Every change is a transition of the pure machine, applied here with its effects.

use super::{Page, Place, Store, agents, audit, damaged, entries, intents, json, named, touch};
use crate::approval::names::{FAMILIAR_MAX, domain, registrable};
use crate::approval::outbox::{Effect, Event, Facts, Outcome, RETRY_MS, Resolution, State, next};
use crate::approval::repeats::{self, Earlier, Fate};
use crate::approval::{Action, Policy, letter, outbox};
use crate::audit::{Fact, Whose};
use crate::clock::{Millis, rfc3339};
use crate::digest::Digest;
use crate::intent::{self, Status};
use crate::journal::{Answer, Entry};
use crate::people::Scope;
use crate::refusals::{Code, Problem, Result};
use crate::tools::messages::{Parcel, SEND, message_of};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::BTreeSet;

/// A message in the outbox.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The approval that armed it, which also names it.
    pub approval: String,
    /// Its intent.
    pub intent: String,
    /// Where it is.
    pub state: State,
    /// What was signed.
    pub action: Action,
    /// Its Message-ID, without angle brackets.
    pub message_id: String,
    /// How often it has been attempted since a person last asked for it.
    pub attempts: u32,
    /// From when on the next attempt may be made.
    pub due_ms: Millis,
    /// From when on it is not offered again.
    pub until_ms: Millis,
    /// When what was signed ends: from then on only what may have left can be offered again.
    pub expires_ms: Millis,
    /// Whether it may have left before a person spoke about it.
    pub resent: bool,
    /// When it was signed.
    pub armed_ms: Millis,
    /// When it left.
    pub sent_ms: Option<Millis>,
    /// What came of the last attempt.
    pub outcome: Option<Outcome>,
}

/// A message that waits for its turn, or was being handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InTransit {
    /// The approval that armed it.
    pub approval: String,
    /// Its intent.
    pub place: Place,
    /// The number the run of its intent is locked under.
    pub seq: i64,
    /// Where it is: queued or attempting.
    pub state: State,
    /// From when on the next attempt may be made.
    pub due_ms: Millis,
}

impl Store {
    /// Messages of the outbox, newest first; with `open`, those that are on their way or uncertain.
    pub fn outbox(&self, scope: Scope<'_>, open: bool, page: Page<'_>) -> Result<Vec<Outgoing>> {
        let behind = "(outbox.armed_ms, outbox.approval) < \
                      (SELECT armed_ms, approval FROM outbox WHERE approval = ?3 AND tenant = ?1)";
        let mut sql = format!("{SELECT} WHERE outbox.tenant = ?1");
        for (is_there, condition) in [
            (scope.user.is_some(), "outbox.user = ?2"),
            (open, "outbox.state IN ('queued', 'attempting', 'uncertain')"),
            (page.before.is_some(), behind),
        ] {
            if is_there {
                sql += &format!(" AND {condition}");
            }
        }
        sql += " ORDER BY outbox.armed_ms DESC, outbox.approval DESC LIMIT ?4";
        let values = params![scope.tenant, scope.user, page.before, page.limit];
        self.read(|db| {
            super::behind(db, ("outbox", "approval"), scope, page.before)?;
            let mut statement = db.prepare_cached(&sql)?;
            Ok(statement.query_map(values, outgoing)?.collect::<Result<_, _>>()?)
        })
    }

    /// How many messages are uncertain, or have not left and may still be offered again: counted as far as `most`, by the indexes of
    /// both.
    pub fn undelivered(&self, Scope { tenant, user }: Scope<'_>, most: u32, now: Millis) -> Result<u32> {
        let of = if user.is_some() { "AND outbox.user = ?2" } else { "" };
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM outbox WHERE outbox.tenant = ?1 {of} \
             AND outbox.state IN ('queued', 'attempting', 'uncertain') AND outbox.state = 'uncertain' \
             UNION ALL SELECT 1 FROM outbox JOIN approval ON approval.id = outbox.approval \
             WHERE outbox.tenant = ?1 {of} AND outbox.state = 'not_sent' AND resent = 0 AND approval.expires_ms > ?4 \
             LIMIT ?3)"
        );
        self.read(|db| {
            Ok(db.prepare_cached(&sql)?.query_row(params![tenant, user, most, now], |row| row.get(0))?)
        })
    }

    /// The message the approval `id` armed.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`, also for a message outside the scope.
    pub fn outgoing<'a>(&self, scope: impl Into<Scope<'a>>, id: &str) -> Result<Outgoing> {
        let Scope { tenant, user } = scope.into();
        self.read(|db| {
            let whose = "outbox.tenant = ?2 AND (?3 IS NULL OR outbox.user = ?3)";
            let sql = format!("{SELECT} WHERE outbox.approval = ?1 AND {whose}");
            let found = db.prepare_cached(&sql)?.query_row(params![id, tenant, user], outgoing).optional()?;
            Ok(found.ok_or_else(|| unknown(id))?)
        })
    }

    /// What is queued or being handed over: of one intent, or of all, whoever's they are.
    pub fn in_transit(&self, seq: Option<i64>) -> Result<Vec<InTransit>> {
        // The first condition is that of the index, word for word, or it would not be used.
        let open = "outbox.state IN ('queued', 'attempting', 'uncertain') AND outbox.state <> 'uncertain'";
        let of = if seq.is_some() { "outbox.intent = ?1" } else { "?1 IS NULL" };
        let sql = format!(
            "SELECT outbox.approval, outbox.user, intent.id, outbox.intent, outbox.state, outbox.due_ms, outbox.tenant \
             FROM outbox JOIN intent ON intent.seq = outbox.intent \
             WHERE {of} AND {open} ORDER BY outbox.armed_ms, outbox.approval"
        );
        self.read(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map([seq], |row| {
                Ok(InTransit {
                    approval: row.get(0)?,
                    place: Place { tenant: row.get(6)?, user: row.get(1)?, intent: row.get(2)? },
                    seq: row.get(3)?,
                    state: named(row.get(4)?)?,
                    due_ms: row.get(5)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Begins an attempt. When this returns a parcel, that it was begun is on disk; nothing where it cannot begin now. What may not
    /// leave any more, because its time is over, the right to send it is gone or `policy` forbids it, is cancelled instead.
    pub async fn attempt(&self, approval: &str, policy: Policy, now: Millis) -> Result<Option<Parcel>> {
        let approval = approval.to_owned();
        self.write(move |db| {
            touch(db, now)?;
            let record = record(db, &approval)?;
            if next(record.facts, Event::Attempt, now).is_none() {
                return Ok(None);
            }
            if !may_leave(db, &record, &policy, now)? {
                apply(db, &record, Event::Cancel, now)?;
                return Ok(None);
            }
            let parcel = parcel(db, &approval)?;
            apply(db, &record, Event::Attempt, now)?;
            Ok(Some(parcel))
        })
        .await
    }

    /// What is to be handed over in an attempt that has begun.
    pub fn parcel(&self, approval: &str) -> Result<Parcel> {
        self.read(|db| Ok(parcel(db, approval)?))
    }

    /// Ends an attempt: the outcome, and what the run hears of it, in one transaction. Gives where the message is now.
    pub async fn attempted(&self, approval: &str, outcome: Outcome, now: Millis) -> Result<State> {
        self.end_attempt(approval, outcome, false, now).await
    }

    /// Ends an attempt whose process has died: nobody knows how far it came.
    pub async fn lost(&self, approval: &str, now: Millis) -> Result<State> {
        let why = "the process that handed it over has died".into();
        self.end_attempt(approval, Outcome::Uncertain { why }, true, now).await
    }

    async fn end_attempt(&self, approval: &str, outcome: Outcome, lost: bool, now: Millis) -> Result<State> {
        let approval = approval.to_owned();
        self.write(move |db| {
            touch(db, now)?;
            let record = record(db, &approval)?;
            let event = if lost { Event::Lost } else { Event::Attempted(&outcome) };
            if next(record.facts, event, now).is_none() {
                // Somebody else has ended it meanwhile, and what they said stands.
                return Ok(record.facts.state);
            }
            let text = serde_json::to_string(&outcome).expect("JSON serializes");
            db.prepare_cached("UPDATE outbox SET outcome = ?2 WHERE approval = ?1")?
                .execute(params![approval, text])?;
            Ok(apply(db, &record, event, now)?.unwrap_or(record.facts.state))
        })
        .await
    }

    /// A person says what is to become of a message that is uncertain, or has one offered again that has not left, for as long as
    /// `retry_ms`.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `NOT_UNCERTAIN`, also for a message that has not left and whose signature has ended.
    pub async fn resolve(
        &self,
        (scope, id): (Scope<'_>, &str),
        resolution: Resolution,
        retry_ms: Millis,
        by: &str,
        now: Millis,
    ) -> Result<()> {
        self.outgoing(scope, id)?;
        let (id, by) = (id.to_owned(), by.to_owned());
        self.write(move |db| {
            touch(db, now)?;
            let record = record(db, &id)?;
            let decides_anew = record.facts.resent || record.facts.state == State::Uncertain;
            let until_ms = until(&record, decides_anew, now + retry_ms);
            let event = Event::Resolve { resolution, until_ms };
            if next(record.facts, event, now).is_none() {
                let state = record.facts.state;
                let message = format!("message {id} is {}", state.name().replace('_', " "));
                let hint = match state {
                    State::NotSent => format!("`countersign outbox resolve {id} --resend` offers it again"),
                    _ => format!("`countersign outbox show {id}` shows what became of it"),
                };
                return Err(Problem::new(Code::NotUncertain, message).hint(hint).into());
            }
            if resolution == Resolution::Resend && !decides_anew {
                may_be_offered(db, &record, now)?;
            }
            audit::append(db, now, record.whose(), &Fact::Resolve { approval: &id, resolution, by: &by })?;
            apply(db, &record, event, now)?;
            Ok(())
        })
        .await
    }
}

/// Which recipients of a message its user has written to before.
pub(super) fn correspondents(db: &Connection, of: &Action) -> rusqlite::Result<BTreeSet<String>> {
    let sql = "SELECT 1 FROM correspondent WHERE tenant = ?1 AND user = ?2 AND digest = ?3";
    let mut statement = db.prepare_cached(sql)?;
    let mut known = BTreeSet::new();
    for address in of.recipients() {
        if statement.exists(params![of.tenant, of.user, correspondent(address)])? {
            known.insert(address.to_owned());
        }
    }
    Ok(known)
}

/// The domains its user has written to lately.
pub(super) fn familiar(db: &Connection, of: &Action) -> rusqlite::Result<Vec<String>> {
    let sql =
        "SELECT domain FROM correspondent_domain WHERE tenant = ?1 AND user = ?2 ORDER BY seq DESC LIMIT ?3";
    let values = params![of.tenant, of.user, FAMILIAR_MAX as i64];
    db.prepare_cached(sql)?.query_map(values, |row| row.get(0))?.collect()
}

/// Remembers the domains of everything that had left before they were remembered.
pub(super) fn remember_domains(db: &Connection) -> rusqlite::Result<()> {
    let sql = "SELECT tenant, user, action FROM outbox WHERE state = 'sent' ORDER BY sent_seq";
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // What a damaged row holds is said wherever it is shown.
        let Some(action) = Action::decode(row.get_ref(2)?.as_blob()?) else { continue };
        remember(db, &row.get::<_, String>(0)?, &row.get::<_, String>(1)?, &action)?;
    }
    Ok(())
}

fn remember(db: &Connection, tenant: &str, user: &str, action: &Action) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO correspondent_domain (tenant, user, domain) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let mut insert = db.prepare_cached(sql)?;
    for domain in action.recipients().map(|address| registrable(domain(address))).collect::<BTreeSet<_>>() {
        insert.execute(params![tenant, user, domain])?;
    }
    Ok(())
}

/// Until when a message is offered: what was signed leaves in its time, unless it may have left before and a person decides anew.
fn until(record: &Record, decides_anew: bool, until_ms: Millis) -> Millis {
    if decides_anew { until_ms } else { until_ms.min(record.expires_ms) }
}

/// Whether what has certainly not left may be offered again under the signature it has.
fn may_be_offered(db: &Connection, record: &Record, now: Millis) -> Result<()> {
    let id = &record.approval;
    let sql = "SELECT id FROM intent WHERE seq = ?1";
    let intent: String = db.prepare_cached(sql)?.query_row([record.seq], |row| row.get(0))?;
    let why = match intents::status(db, record.seq)? {
        Status::Cancelled => format!("intent {intent} was cancelled, and with it message {id}"),
        _ if now >= record.expires_ms => {
            format!("what was signed as {id} ended at {}", rfc3339(record.expires_ms))
        }
        _ => return Ok(()),
    };
    Err(Problem::new(Code::NotUncertain, format!("{why}: it can not be offered again"))
        .hint(format!("`countersign intent retry {intent}` asks anew"))
        .into())
}

/// A row with everything a transition may need.
struct Record {
    approval: String,
    facts: Facts,
    /// When what was signed ends.
    expires_ms: Millis,
    seq: i64,
    tenant: String,
    user: String,
}

impl Record {
    fn whose(&self) -> Whose<'_> {
        Whose { tenant: &self.tenant, user: Some(&self.user) }
    }
}

fn record(db: &Connection, approval: &str) -> rusqlite::Result<Record> {
    // Rows of before there was an `until_ms` have the time an operator gives who says nothing.
    let sql = "SELECT outbox.state, attempts, due_ms, resent, outbox.intent, outbox.tenant, outbox.user, \
               coalesce(until_ms, armed_ms + ?2), approval.expires_ms \
               FROM outbox JOIN approval ON approval.id = outbox.approval WHERE outbox.approval = ?1";
    db.prepare_cached(sql)?.query_row(params![approval, RETRY_MS], |row| {
        Ok(Record {
            approval: approval.to_owned(),
            facts: Facts {
                state: named(row.get(0)?)?,
                attempts: row.get(1)?,
                due_ms: row.get(2)?,
                until_ms: row.get(7)?,
                resent: row.get(3)?,
            },
            expires_ms: row.get(8)?,
            seq: row.get(4)?,
            tenant: row.get(5)?,
            user: row.get(6)?,
        })
    })
}

/// Whether a message that waits for a further attempt may still leave. A person who has it offered again decides anew, whenever that is.
fn may_leave(db: &Connection, record: &Record, policy: &Policy, now: Millis) -> rusqlite::Result<bool> {
    let sql = "SELECT outbox.action, approval.agent FROM outbox \
               JOIN approval ON approval.id = outbox.approval WHERE outbox.approval = ?1";
    let (action, agent) = db
        .prepare_cached(sql)?
        .query_row([&record.approval], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)))?;
    let action = Action::decode(&action).ok_or_else(|| damaged("an action does not decode"))?;
    let is_granted = agents::is_granted(db, &agent, &action)?;
    let in_time = record.facts.resent || now < record.expires_ms;
    Ok(is_granted && in_time && policy.admit(&action).is_ok())
}

/// Applies one event to one message, with all its effects. `None` where the event cannot happen.
fn apply(db: &Connection, record: &Record, event: Event<'_>, now: Millis) -> rusqlite::Result<Option<State>> {
    let Some((state, effects)) = next(record.facts, event, now) else { return Ok(None) };
    let attempts = match event {
        Event::Attempt => record.facts.attempts + 1,
        Event::Resolve { resolution: Resolution::Resend, .. } => 0,
        _ => record.facts.attempts,
    };
    let resent = record.facts.may_have_left(event);
    let sql = "UPDATE outbox SET state = ?2, attempts = ?3, resent = ?4 WHERE approval = ?1";
    db.prepare_cached(sql)?.execute(params![record.approval, state.name(), attempts, resent])?;
    if (record.facts.state, event) == (State::Queued, Event::Cancel) {
        audit::append(db, now, record.whose(), &Fact::Cancel { approval: &record.approval })?;
    }
    if matches!(event, Event::Attempt) {
        let fact = Fact::Attempt { approval: &record.approval, attempt: attempts };
        audit::append(db, now, record.whose(), &fact)?;
    }
    if matches!(event, Event::Deliver | Event::Attempted(_) | Event::Lost | Event::Restored) {
        let sql = "SELECT bytes FROM outbox WHERE approval = ?1";
        let bytes = db
            .prepare_cached(sql)?
            .query_row([&record.approval], |row| Ok(Digest::of(row.get_ref(0)?.as_blob()?)))?;
        let fact = Fact::Deliver { approval: &record.approval, state, bytes };
        audit::append(db, now, record.whose(), &fact)?;
    }
    if matches!(state, State::Sent | State::Kept) {
        count_as_sent(db, record, state, now)?;
    }
    for effect in effects {
        match effect {
            Effect::Due(due_ms) => {
                let sql = "UPDATE outbox SET due_ms = ?2 WHERE approval = ?1";
                db.prepare_cached(sql)?.execute(params![record.approval, due_ms])?;
            }
            Effect::Until(until_ms) => {
                let sql = "UPDATE outbox SET until_ms = ?2 WHERE approval = ?1";
                db.prepare_cached(sql)?.execute(params![record.approval, until_ms])?;
            }
            Effect::Answer => answer(db, record, state, now)?,
        }
    }
    Ok(Some(state))
}

/// Gives a message its place among those that have left or are kept, and remembers whom it went to.
fn count_as_sent(db: &Connection, record: &Record, state: State, now: Millis) -> rusqlite::Result<()> {
    let next = "UPDATE meta SET value = value + 1 WHERE key = 'sent' RETURNING value";
    let sent_seq: i64 = db.prepare_cached(next)?.query_row([], |row| row.get(0))?;
    let sql = "UPDATE outbox SET sent_ms = ?2, sent_seq = ?3 WHERE approval = ?1 RETURNING action";
    let action: Vec<u8> =
        db.prepare_cached(sql)?.query_row(params![record.approval, now, sent_seq], |row| row.get(0))?;
    // What nobody has got makes nobody known.
    if state == State::Kept {
        return Ok(());
    }
    let action = Action::decode(&action).ok_or_else(|| damaged("an action does not decode"))?;
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO correspondent VALUES (?1, ?2, ?3)")?;
    for address in action.recipients() {
        insert.execute(params![record.tenant, record.user, correspondent(address)])?;
    }
    remember(db, &record.tenant, &record.user, &action)?;
    Ok(())
}

fn correspondent(address: &str) -> [u8; 32] {
    Digest::of(address.to_ascii_lowercase().as_bytes()).0
}

/// Puts what came of a send into the journal of its run, and wakes it, if it waits for that.
fn answer(db: &Connection, record: &Record, state: State, now: Millis) -> rusqlite::Result<()> {
    if intents::status(db, record.seq)? != Status::Sending {
        return Ok(());
    }
    let sql = "SELECT number, request, answer, outcome FROM outbox WHERE approval = ?1";
    let (number, request, sent, outcome) = db.prepare_cached(sql)?.query_row([&record.approval], |row| {
        let outcome: Option<String> = row.get(3)?;
        Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<String>>(1)?, row.get(2)?, outcome))
    })?;
    // Armed when a backup was taken that has been put back: the run waits for another one.
    let (Some(number), Some(request)) = (number, request) else { return Ok(()) };
    if number != entries::count(db, record.seq)? {
        // Another send of the same run: this one was heard before, and a person has had it offered again.
        return Ok(());
    }
    let outcome: Option<Outcome> = outcome.map(|text| json(&text)).transpose()?;
    let answer = match state {
        State::Sent => Answer::Value(sent),
        _ => Answer::Refused(outbox::refusal(&record.approval, state, outcome.as_ref())),
    };
    let entry = Entry { call: SEND.name.into(), request, answer, at_ms: now };
    entries::insert(db, entries::Table::Entry, &record.seq, number as usize, &[entry])?;
    let woken = intent::next(Status::Sending, intent::Event::Wake).expect("a sending intent can wake");
    intents::set_status(db, record.seq, woken, now)
}

/// Whose message is armed, and under which approval.
pub(super) struct Arming<'a> {
    pub approval: &'a str,
    pub seq: i64,
    pub tenant: &'a str,
    pub user: &'a str,
    /// The action that leaves, encoded, and the digest that was signed.
    pub action: &'a [u8],
    pub digest: Digest,
    /// What names it by what is seen of it, where that is known.
    pub drawn: Option<Digest>,
}

/// Puts the exact bytes into the outbox. They were rendered from the action that was signed, and read back they give
/// its digest again, or nothing is armed.
pub(super) fn arm(db: &Connection, arming: &Arming<'_>, now: Millis) -> rusqlite::Result<()> {
    let Arming { approval, seq, tenant, user, action: encoded, digest, drawn } = *arming;
    let action = Action::decode(encoded).ok_or_else(|| damaged("an action does not decode"))?;
    let message_id = letter::message_id(approval, &action);
    let bytes = letter::render(&action, &message_id, now).map_err(|error| damaged(&error.to_string()))?;
    intact(encoded, &bytes, digest)?;
    db.prepare_cached(
        "INSERT INTO outbox (approval, intent, tenant, user, state, message_id, action, bytes, bytes_digest, armed_ms, \
         attempts, due_ms, resent, drawn_digest) VALUES (?1, ?2, ?3, ?4, 'armed', ?5, ?6, ?7, ?8, ?9, 0, 0, 0, ?10)",
    )?
    .execute(params![
        approval,
        seq,
        tenant,
        user,
        message_id,
        encoded,
        bytes,
        Digest::of(&bytes).0,
        now,
        drawn.unwrap_or_else(|| repeats::drawn(&action)).0
    ])?;
    Ok(())
}

/// What became of the latest message of a user that was signed before and looks like this one; of those that are still on their way,
/// if there are any. `drawn` names this one by what is seen of it, and `but` is its approval.
pub(super) fn earlier(
    db: &Connection,
    action: &Action,
    drawn: Digest,
    but: &str,
) -> rusqlite::Result<Option<Earlier>> {
    let sql = "SELECT approval, state, armed_ms, sent_ms FROM outbox \
               WHERE tenant = ?1 AND user = ?2 AND drawn_digest = ?3 AND approval <> ?4 \
               AND state IN ('armed', 'queued', 'attempting', 'uncertain', 'sent', 'kept') \
               ORDER BY state IN ('sent', 'kept'), armed_ms DESC LIMIT 1";
    let values = params![action.tenant, action.user, drawn.0, but];
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_row(values, |row| {
        let armed_ms = row.get(2)?;
        let (fate, at_ms) = match named(row.get(1)?)? {
            State::Kept => (Fate::Kept, row.get::<_, Option<Millis>>(3)?.unwrap_or(armed_ms)),
            State::Sent => (Fate::Left, row.get::<_, Option<Millis>>(3)?.unwrap_or(armed_ms)),
            State::Uncertain => (Fate::Uncertain, armed_ms),
            _ => (Fate::OnItsWay, armed_ms),
        };
        Ok(Earlier { approval: row.get(0)?, fate, at_ms })
    });
    found.optional()
}

/// Refuses to ask again for an intent of which a message has been signed and may still leave.
///
/// # Errors
///
/// `STILL_LEAVING`.
pub(super) fn left_all(db: &Connection, tenant: &str, intent: &str) -> Result<()> {
    let sql = "SELECT outbox.approval, outbox.state FROM outbox JOIN intent ON intent.seq = outbox.intent \
               WHERE intent.id = ?1 AND intent.tenant = ?2 AND outbox.state IN ('armed', 'queued', 'attempting', 'uncertain') \
               ORDER BY outbox.armed_ms DESC LIMIT 1";
    let found = db
        .prepare_cached(sql)?
        .query_row([intent, tenant], |row| Ok((row.get::<_, String>(0)?, named::<State>(row.get(1)?)?)))
        .optional()?;
    let Some((approval, state)) = found else { return Ok(()) };
    let (how, hint) = match state {
        State::Uncertain => (
            "may have left, and nobody knows",
            format!(
                "find out, and say so, `countersign outbox resolve {approval} --sent`, or `--not-sent`; then try again"
            ),
        ),
        _ => (
            "was signed and has not left yet",
            format!(
                "wait for it: `countersign outbox show {approval}` shows how it stands; or `countersign intent cancel {intent}` \
                 first, and it does not leave unless it is being handed over right now"
            ),
        ),
    };
    let message = format!("a message of {intent} {how}: asked again, it may leave twice");
    Err(Problem::new(Code::StillLeaving, message).hint(hint).into())
}

/// Whether an encoded action and the bytes of its letter are what was signed.
fn intact(encoded: &[u8], bytes: &[u8], signed: Digest) -> rusqlite::Result<Action> {
    let action = Action::decode(encoded).filter(|action| action.digest() == signed);
    let action =
        action.filter(|action| letter::parse(bytes, action).is_some_and(|read| read.digest() == signed));
    action.ok_or_else(|| damaged("the bytes to send do not carry the action that was signed"))
}

/// What is handed over, compared once more with what was signed: a row that has been tampered with or has rotted does not leave.
fn parcel(db: &Connection, approval: &str) -> rusqlite::Result<Parcel> {
    let sql = "SELECT outbox.action, bytes, bytes_digest, approval.digest FROM outbox \
               JOIN approval ON approval.id = outbox.approval WHERE outbox.approval = ?1";
    let mut statement = db.prepare_cached(sql)?;
    statement.query_row([approval], |row| {
        let (encoded, bytes): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        // Date and Message-ID are not part of what is signed; this covers them.
        let rendered: Option<[u8; 32]> = row.get(2)?;
        if rendered.is_some_and(|rendered| rendered != Digest::of(&bytes).0) {
            return Err(damaged("the bytes to send are not those that were rendered"));
        }
        let action = intact(&encoded, &bytes, Digest(row.get(3)?))?;
        let recipients: BTreeSet<_> = action.recipients().map(str::to_owned).collect();
        Ok(Parcel { from: action.from, recipients: recipients.into_iter().collect(), bytes })
    })
}

/// Cancels what is armed or waits for its turn; what is being handed over is not offered again.
pub(super) fn cancel(db: &Connection, approval: &str, now: Millis) -> rusqlite::Result<()> {
    let sql = "SELECT 1 FROM outbox WHERE approval = ?1";
    if db.prepare_cached(sql)?.exists([approval])? {
        apply(db, &record(db, approval)?, Event::Cancel, now)?;
    }
    Ok(())
}

/// Cancels what an intent that is cancelled still has on its way.
pub(super) fn cancel_of_intent(db: &Connection, seq: i64, now: Millis) -> rusqlite::Result<()> {
    let sql = "SELECT approval FROM outbox WHERE intent = ?1 AND state IN ('queued', 'attempting')";
    let approvals = db
        .prepare_cached(sql)?
        .query_map([seq], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    approvals.iter().try_for_each(|approval| cancel(db, approval, now))
}

/// Cancels what an agent that may no longer send has on its way. Gives the intents that can be picked up.
pub(super) fn cancel_of_agent(
    db: &Connection,
    (tenant, user, agent): (&str, &str, &str),
    now: Millis,
) -> rusqlite::Result<Vec<String>> {
    // By what is open, which is little beside all that was ever sent.
    let sql = "SELECT outbox.approval, intent.id, outbox.state FROM outbox INDEXED BY outbox_open \
               JOIN intent ON intent.seq = outbox.intent \
               WHERE outbox.tenant = ?1 AND outbox.user = ?2 AND intent.agent = ?3 \
               AND outbox.state IN ('queued', 'attempting', 'uncertain') AND outbox.state <> 'uncertain'";
    let rows = db
        .prepare_cached(sql)?
        .query_map([tenant, user, agent], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<Vec<(String, String, String)>>>()?;
    let mut idle = Vec::new();
    for (approval, intent, state) in rows {
        cancel(db, &approval, now)?;
        // Whoever hands a message over goes on with its run.
        if state == State::Queued.name() {
            idle.push(intent);
        }
    }
    Ok(idle)
}

/// Takes a message that was about to leave when a backup was taken for one that may have left since.
pub(super) fn restored(db: &Connection, approval: &str, outcome: &str, now: Millis) -> rusqlite::Result<()> {
    // What no run has sent has no name yet, and needs the one its run would have heard, if a person finds that it has arrived.
    let sql = "UPDATE outbox SET outcome = ?2, message = coalesce(message, ?3) WHERE approval = ?1";
    db.prepare_cached(sql)?.execute([approval, outcome, &message_of(approval)])?;
    let moved = apply(db, &record(db, approval)?, Event::Restored, now)?;
    moved.map(|_| ()).ok_or_else(|| damaged("a message that is not on its way cannot be restored"))
}

/// Lets an armed message leave at once: in the embedded mailbox this row is its place among the sent ones.
pub(super) fn deliver(db: &Connection, approval: &str, message: &str, now: Millis) -> rusqlite::Result<()> {
    parcel(db, approval)?;
    name(db, approval, message)?;
    let left = apply(db, &record(db, approval)?, Event::Deliver, now)?;
    left.map(|_| ()).ok_or_else(|| damaged("an approved message is not armed"))
}

/// The send of a run that waits for its message to be handed over.
pub(super) struct Waiting<'a> {
    pub number: usize,
    pub request: &'a str,
    pub answer: &'a str,
    /// For how long it is offered.
    pub retry_ms: Millis,
}

/// Queues an armed message and begins its first attempt: whoever drives the run hands it over next.
pub(super) fn send(
    db: &Connection,
    approval: &str,
    message: &str,
    waiting: &Waiting<'_>,
    now: Millis,
) -> rusqlite::Result<()> {
    // Looked at before anybody is told that it is on its way.
    parcel(db, approval)?;
    name(db, approval, message)?;
    let Waiting { number, request, answer, retry_ms } = *waiting;
    let sql = "UPDATE outbox SET number = ?2, request = ?3, answer = ?4 WHERE approval = ?1";
    db.prepare_cached(sql)?.execute(params![approval, number as i64, request, answer])?;
    let until_ms = until(&record(db, approval)?, false, now + retry_ms);
    for event in [Event::Queue { until_ms }, Event::Attempt] {
        let moved = apply(db, &record(db, approval)?, event, now)?;
        moved.ok_or_else(|| damaged("an approved message is not armed"))?;
    }
    Ok(())
}

fn name(db: &Connection, approval: &str, message: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE outbox SET message = ?2 WHERE approval = ?1";
    db.prepare_cached(sql)?.execute([approval, message])?;
    Ok(())
}

const SELECT: &str = "SELECT outbox.approval, intent.id, outbox.state, outbox.action, message_id, attempts, due_ms, armed_ms, \
                      sent_ms, outcome, coalesce(until_ms, armed_ms), approval.expires_ms, resent FROM outbox \
                      JOIN intent ON intent.seq = outbox.intent JOIN approval ON approval.id = outbox.approval";

fn outgoing(row: &Row<'_>) -> rusqlite::Result<Outgoing> {
    Ok(Outgoing {
        approval: row.get(0)?,
        intent: row.get(1)?,
        state: named(row.get(2)?)?,
        action: Action::decode(&row.get::<_, Vec<u8>>(3)?)
            .ok_or_else(|| damaged("an action does not decode"))?,
        message_id: row.get(4)?,
        attempts: row.get(5)?,
        due_ms: row.get(6)?,
        armed_ms: row.get(7)?,
        sent_ms: row.get(8)?,
        outcome: row.get::<_, Option<String>>(9)?.map(|text| json(&text)).transpose()?,
        until_ms: row.get(10)?,
        expires_ms: row.get(11)?,
        resent: row.get(12)?,
    })
}

fn unknown(id: &str) -> Problem {
    Problem::new(Code::UnknownId, format!("there is no message {id} in the outbox"))
        .hint("`countersign outbox list` shows them all")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One intent that sends, with a message that is being handed over for the first time.
    fn attempting() -> Store {
        let store = Store::in_memory().unwrap();
        let rows = "INSERT INTO intent (seq, id, tenant, user, agent, digest, action, parameters, run, seed, submitted_ms, \
                    host_version, status, generation, fuel, log, updated_ms) \
                    VALUES (1, 'int_1', 'main', 'local', 'mailer', zeroblob(32), 'a', '{}', 1, zeroblob(32), 0, '0', 'sending', 1, 0, '', 0); \
                    INSERT INTO outbox (approval, intent, tenant, user, state, message_id, action, bytes, armed_ms, attempts, \
                    due_ms, number, request, answer) \
                    VALUES ('appr_1', 1, 'main', 'local', 'attempting', 'm', x'00', x'00', 0, 1, 0, 0, '{}', '{}'); \
                    INSERT INTO approval (id, intent, tenant, user, agent, number, state, binding, digest, words, asked_ms, expires_ms, \
                    policy) VALUES ('appr_1', 1, 'main', 'local', 'mailer', 0, 'used', 'exact', zeroblob(32), '{}', 0, 1000000, 1)";
        store.read(|db| Ok(db.execute_batch(rows)?)).unwrap();
        store
    }

    fn come_again() -> Outcome {
        Outcome::NotSent { why: "451".into(), again: true, rejected: vec![] }
    }

    #[tokio::test]
    async fn what_is_cancelled_while_it_is_handed_over_is_not_offered_again() {
        let kept = attempting();
        assert_eq!(kept.attempted("appr_1", come_again(), 1).await.unwrap(), State::Queued);

        let cancelled = attempting();
        cancelled.cancel("local".into(), "int_1", 1).await.unwrap();
        assert_eq!(cancelled.attempted("appr_1", come_again(), 2).await.unwrap(), State::NotSent);

        let revoked = attempting();
        let send = [crate::authority::Capability::MessagesSend];
        let woken = revoked.revoke(("main", "local", "mailer"), &send, 1, "me").await.unwrap();
        assert_eq!(woken, Vec::<String>::new(), "whoever hands it over goes on with its run");
        assert_eq!(revoked.attempted("appr_1", come_again(), 2).await.unwrap(), State::NotSent);
        assert_eq!(revoked.intent("local", "int_1").unwrap().1.status, Status::Running);
    }
}
