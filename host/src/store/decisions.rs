//! Approvals and the messages they arm. Every change is a transition of the pure machine, applied here with its effects.

use super::entries::{drop_suffix, keep_suffix};
use super::{Store, entries, intents, json, named, touch};
use crate::approval::decision::{self, Effect, Event, Facts, Refused, State};
use crate::approval::{Action, Approval, Verdict, letter, outbox};
use crate::clock::{Millis, rfc3339};
use crate::digest::Digest;
use crate::intent;
use crate::journal::{Answer, Ask, Entry};
use crate::refusals::{Code, Problem, Result};
use crate::tools::approval::REQUEST;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// An approval with where it belongs and who decided it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The approval.
    pub approval: Approval,
    /// Its intent.
    pub intent: String,
    /// The agent that asks.
    pub agent: String,
    /// The arguments of the `approval.request` that waits for it; `None` where a parked send does.
    pub request: Option<String>,
    /// Who decided, if somebody has.
    pub decided: Option<Decision>,
}

/// A decision as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub verdict: Verdict,
    /// When.
    pub at_ms: Millis,
    /// Which user of the operating system.
    pub by: String,
    /// What they wrote beside it. Stays with the host.
    pub note: Option<String>,
}

impl Store {
    /// The approval `id` of this user.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`, also for the approval of another user.
    pub fn approval(&self, tenant: &str, user: &str, id: &str) -> Result<Stored> {
        self.read(|db| find(db, tenant, user, id))
    }

    /// The latest approvals of a user, newest first.
    pub fn approvals(&self, tenant: &str, user: &str, pending: bool, limit: u32) -> Result<Vec<Stored>> {
        self.read(|db| {
            let only = if pending { "AND approval.state = 'pending'" } else { "" };
            let sql = format!(
                "{SELECT} WHERE approval.tenant = ?1 AND approval.user = ?2 {only} ORDER BY approval.seq DESC LIMIT ?3"
            );
            let mut statement = db.prepare_cached(&sql)?;
            Ok(statement.query_map(params![tenant, user, limit], stored)?.collect::<Result<_, _>>()?)
        })
    }

    /// The approvals of one intent, in the order they were asked.
    pub fn approvals_of(&self, seq: i64) -> Result<Vec<Stored>> {
        self.read(|db| {
            let sql = format!("{SELECT} WHERE approval.intent = ?1 ORDER BY approval.seq");
            let mut statement = db.prepare_cached(&sql)?;
            Ok(statement.query_map([seq], stored)?.collect::<Result<_, _>>()?)
        })
    }

    /// Decides: one transaction for the decision, the armed message, the run's journal and its waking.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `ALREADY_DECIDED`, naming the first decision; `STALE_DIGEST`.
    pub async fn decide(
        &self,
        (tenant, user, id): (&str, &str, &str),
        decision: Decision,
        shown: Digest,
    ) -> Result<()> {
        let key = (tenant.to_owned(), user.to_owned(), id.to_owned());
        self.write(move |db| {
            let (tenant, user, id) = key;
            let found = find(db, &tenant, &user, &id)?;
            let event = Event::Decide { verdict: decision.verdict, shown };
            touch(db, decision.at_ms)?;
            transition(db, &id, event, decision.at_ms, Some(&decision)).map_err(|error| match error {
                Failed::Refused(refused) => refusal(&found, refused).into(),
                Failed::Fault(error) => error.into(),
            })
        })
        .await
    }

    /// Expires what is over: pending approvals, whose runs it wakes, and approved ones that were never used. Gives the
    /// intents that can be picked up.
    pub async fn expire(&self, now: Millis) -> Result<Vec<(String, String, String)>> {
        let due = "SELECT approval.id, intent.tenant, intent.user, intent.id, approval.state \
                   FROM approval JOIN intent ON intent.seq = approval.intent \
                   WHERE approval.expires_ms <= ?1 AND approval.state IN ('pending', 'approved') \
                   AND (approval.state = 'pending' OR binding IN ('exact', 'declared'))";
        let any = self.read(|db| Ok(db.prepare_cached(due)?.exists([now])?))?;
        if !any {
            return Ok(Vec::new());
        }
        self.write(move |db| {
            touch(db, now)?;
            let mut woken = Vec::new();
            let rows = db
                .prepare_cached(due)?
                .query_map([now], |row| {
                    let intent = (row.get(1)?, row.get(2)?, row.get(3)?);
                    Ok((row.get::<_, String>(0)?, intent, row.get::<_, String>(4)?))
                })?
                .collect::<Result<Vec<_>, _>>()?;
            for (approval, intent, state) in rows {
                transition(db, &approval, Event::Expire, now, None).map_err(anyhow::Error::from)?;
                if state == State::Pending.name() {
                    woken.push(intent);
                }
            }
            Ok(woken)
        })
        .await
    }
}

/// Why a transition was not applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("the approval cannot change that way: {0:?}")]
    Refused(Refused),
    #[error(transparent)]
    Fault(#[from] rusqlite::Error),
}

impl From<Failed> for crate::refusals::Error {
    fn from(failed: Failed) -> Self {
        anyhow::Error::from(failed).into()
    }
}

/// A row with everything a transition may need.
struct Record {
    facts: Facts,
    seq: i64,
    number: i64,
    action: Option<Vec<u8>>,
    ask: Option<Ask>,
    asked_ms: Millis,
    tenant: String,
    user: String,
}

fn record(db: &Connection, id: &str) -> rusqlite::Result<Record> {
    let sql = "SELECT state, binding, digest, expires_ms, intent, number, action, ask_request, ask_yes, ask_no, \
               ask_expired, asked_ms, tenant, user FROM approval WHERE id = ?1";
    db.prepare_cached(sql)?.query_row([id], |row| {
        let ask = row.get::<_, Option<String>>(7)?;
        let facts = Facts {
            state: named(row.get(0)?)?,
            binding: named(row.get(1)?)?,
            digest: Digest(row.get(2)?),
            parked: ask.is_none(),
            expires_ms: row.get(3)?,
        };
        let ask = match ask {
            Some(request) => Some(Ask { request, yes: row.get(8)?, no: row.get(9)?, expired: row.get(10)? }),
            None => None,
        };
        Ok(Record {
            facts,
            seq: row.get(4)?,
            number: row.get(5)?,
            action: row.get(6)?,
            ask,
            asked_ms: row.get(11)?,
            tenant: row.get(12)?,
            user: row.get(13)?,
        })
    })
}

/// Applies one event to one approval, with all its effects.
pub(super) fn transition(
    db: &Connection,
    id: &str,
    event: Event,
    now: Millis,
    decision: Option<&Decision>,
) -> Result<(), Failed> {
    let record = record(db, id)?;
    let (state, effects) = decision::next(record.facts, event, now).map_err(Failed::Refused)?;
    db.prepare_cached("UPDATE approval SET state = ?2 WHERE id = ?1")?.execute(params![id, state.name()])?;
    if let Some(Decision { verdict, at_ms, by, note }) = decision {
        let verdict = serde_json::to_value(verdict).expect("JSON serializes");
        let sql =
            "UPDATE approval SET verdict = ?2, decided_ms = ?3, decided_by = ?4, note = ?5 WHERE id = ?1";
        db.prepare_cached(sql)?.execute(params![id, verdict.as_str(), at_ms, by, note])?;
    }
    for effect in effects {
        match effect {
            Effect::Arm => arm(db, id, &record, now)?,
            Effect::Disarm => disarm(db, id)?,
            Effect::KeepSuffix => {
                answer(db, &record, |ask| &ask.yes)?;
                keep_suffix(db, id, record.seq, record.number + 1)?;
            }
            Effect::DropSuffix => {
                let expired = event == Event::Expire;
                answer(db, &record, |ask| if expired { &ask.expired } else { &ask.no })?;
                drop_suffix(db, id)?;
            }
            Effect::Rebind => {}
            Effect::Wake => {
                let status = intents::status(db, record.seq)?;
                let woken = intent::next(status, intent::Event::Wake).ok_or_else(|| {
                    super::damaged(&format!("an approval is pending for an intent that is {}", status.name()))
                })?;
                intents::set_status(db, record.seq, woken, now)?;
            }
        }
    }
    Ok(())
}

/// Puts the decision into the run's journal, as the answer of the call that asked.
fn answer(db: &Connection, record: &Record, heard: impl Fn(&Ask) -> &String) -> rusqlite::Result<()> {
    let Some(ask) = &record.ask else { return Ok(()) };
    let entry = Entry {
        call: REQUEST.name.into(),
        request: ask.request.clone(),
        answer: Answer::Value(heard(ask).clone()),
        at_ms: record.asked_ms,
    };
    entries::insert(db, entries::Table::Entry, &record.seq, record.number as usize, &[entry])
}

/// Puts the exact bytes into the outbox. They were rendered from the action that was signed, and read back they give
/// its digest again, or nothing is armed.
fn arm(db: &Connection, id: &str, record: &Record, now: Millis) -> rusqlite::Result<()> {
    let encoded =
        record.action.as_deref().ok_or_else(|| super::damaged("an armed approval has no action"))?;
    let action = Action::decode(encoded).ok_or_else(|| super::damaged("an action does not decode"))?;
    let message_id = letter::message_id(id, &action);
    let bytes =
        letter::render(&action, &message_id, now).map_err(|error| super::damaged(&error.to_string()))?;
    let read_back = letter::parse(&bytes, &action).map(|action| action.digest());
    if action.digest() != record.facts.digest || read_back != Some(record.facts.digest) {
        return Err(super::damaged("the bytes to send do not carry the action that was signed"));
    }
    db.prepare_cached(
        "INSERT INTO outbox (approval, intent, tenant, user, state, message_id, action, bytes, armed_ms) \
         VALUES (?1, ?2, ?3, ?4, 'armed', ?5, ?6, ?7, ?8)",
    )?
    .execute(params![id, record.seq, record.tenant, record.user, message_id, encoded, bytes, now])?;
    Ok(())
}

fn outbox_state(db: &Connection, approval: &str) -> rusqlite::Result<Option<outbox::State>> {
    let mut statement = db.prepare_cached("SELECT state FROM outbox WHERE approval = ?1")?;
    statement.query_row([approval], |row| named(row.get(0)?)).optional()
}

fn moved(state: outbox::State, event: outbox::Event<'_>) -> Option<outbox::State> {
    Some(outbox::next(outbox::Facts { state, attempts: 0, due_ms: 0 }, event, 0)?.0)
}

fn disarm(db: &Connection, approval: &str) -> rusqlite::Result<()> {
    let state = outbox_state(db, approval)?.and_then(|state| moved(state, outbox::Event::Cancel));
    let Some(state) = state else { return Ok(()) };
    let sql = "UPDATE outbox SET state = ?2 WHERE approval = ?1";
    db.prepare_cached(sql)?.execute(params![approval, state.name()])?;
    Ok(())
}

/// Lets an armed message leave: in the embedded mailbox this row is its place among the sent ones.
pub(super) fn release(db: &Connection, approval: &str, message: &str, now: Millis) -> rusqlite::Result<()> {
    let state = outbox_state(db, approval)?.and_then(|state| moved(state, outbox::Event::Deliver));
    let state = state.ok_or_else(|| super::damaged("an approved message is not armed"))?;
    let next = "UPDATE meta SET value = value + 1 WHERE key = 'sent' RETURNING value";
    let sent_seq: i64 = db.prepare_cached(next)?.query_row([], |row| row.get(0))?;
    let sql = "UPDATE outbox SET state = ?2, message = ?3, sent_ms = ?4, sent_seq = ?5 WHERE approval = ?1";
    db.prepare_cached(sql)?.execute(params![approval, state.name(), message, now, sent_seq])?;
    Ok(())
}

/// Whether an approval could be used now.
pub(super) fn can_use(db: &Connection, id: &str, now: Millis) -> rusqlite::Result<bool> {
    Ok(decision::next(record(db, id)?.facts, Event::Use, now).is_ok())
}

/// The run is over: nobody is asked for it any more, and what was armed does not leave.
pub(super) fn cancel_open_of_intent(db: &Connection, seq: i64, now: Millis) -> Result<(), Failed> {
    cancel_all(db, "intent = ?1 AND state IN ('pending', 'approved')", &[&seq], now)
}

/// A capability was revoked: what was armed under it does not leave.
pub(super) fn cancel_approved_of_agent(
    db: &Connection,
    tenant: &str,
    user: &str,
    agent: &str,
    now: Millis,
) -> Result<(), Failed> {
    let condition = "tenant = ?1 AND user = ?2 AND agent = ?3 AND state = 'approved'";
    cancel_all(db, condition, &[&tenant, &user, &agent], now)
}

fn cancel_all(
    db: &Connection,
    condition: &str,
    values: &[&dyn rusqlite::ToSql],
    now: Millis,
) -> Result<(), Failed> {
    let mut statement = db.prepare_cached(&format!("SELECT id FROM approval WHERE {condition}"))?;
    let ids = statement.query_map(values, |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    for id in ids {
        match transition(db, &id, Event::Cancel, now, None) {
            // An approved hold or question arms nothing, and stays as it was decided.
            Ok(()) | Err(Failed::Refused(Refused::NotPossible)) => {}
            Err(failed) => return Err(failed),
        }
        drop_suffix(db, &id)?;
    }
    Ok(())
}

fn refusal(found: &Stored, refused: Refused) -> Problem {
    let id = &found.approval.id;
    let state = found.approval.state.name();
    match (refused, &found.decided) {
        (Refused::Stale, _) => {
            Problem::new(Code::StaleDigest, format!("{id} has changed since it was shown: look again"))
                .hint(format!("`countersign approval show {id}` shows what would leave, and its digest"))
        }
        (Refused::AlreadyDecided, Some(first)) => {
            let verb = match first.verdict {
                Verdict::Approve => "approved",
                Verdict::Decline => "declined",
            };
            let (by, at) = (crate::printable::line(&first.by), rfc3339(first.at_ms));
            Problem::new(Code::AlreadyDecided, format!("{id} was {verb} by {by} at {at}"))
                .hint(format!("`countersign intent show {}` shows what became of it", found.intent))
        }
        (Refused::Expired, _) => Problem::new(
            Code::AlreadyDecided,
            format!("the time to decide {id} was over at {}", rfc3339(found.approval.expires_ms)),
        )
        .hint(format!("`countersign intent show {}` shows what became of it", found.intent)),
        _ => Problem::new(Code::AlreadyDecided, format!("{id} is {state}"))
            .hint(format!("`countersign intent show {}` shows what became of it", found.intent)),
    }
}

const SELECT: &str = "SELECT approval.id, approval.state, binding, approval.digest, approval.action, words, asked_ms, \
                      expires_ms, intent.id, approval.agent, ask_request, verdict, decided_ms, \
                      decided_by, note FROM approval JOIN intent ON intent.seq = approval.intent";

fn find(db: &Connection, tenant: &str, user: &str, id: &str) -> Result<Stored> {
    let sql = format!("{SELECT} WHERE approval.id = ?1 AND approval.tenant = ?2 AND approval.user = ?3");
    let found = db.prepare_cached(&sql)?.query_row([id, tenant, user], stored).optional()?;
    Ok(found.ok_or_else(|| {
        Problem::new(Code::UnknownId, format!("there is no approval {id}"))
            .hint("`countersign approval list` shows them all")
    })?)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let action: Option<Vec<u8>> = row.get(4)?;
    let action = match action {
        Some(bytes) => {
            Some(Action::decode(&bytes).ok_or_else(|| super::damaged("an action does not decode"))?)
        }
        None => None,
    };
    let decided = match row.get::<_, Option<String>>(11)? {
        Some(verdict) => Some(Decision {
            verdict: named(verdict)?,
            at_ms: row.get(12)?,
            by: row.get(13)?,
            note: row.get(14)?,
        }),
        None => None,
    };
    Ok(Stored {
        approval: Approval {
            id: row.get(0)?,
            state: named(row.get(1)?)?,
            verdict: decided.as_ref().map(|decided| decided.verdict),
            binding: named(row.get(2)?)?,
            digest: Digest(row.get(3)?),
            action,
            edited: None,
            words: json(&row.get::<_, String>(5)?)?,
            asked_ms: row.get(6)?,
            expires_ms: row.get(7)?,
            outdated: false,
        },
        intent: row.get(8)?,
        agent: row.get(9)?,
        request: row.get(10)?,
        decided,
    })
}
