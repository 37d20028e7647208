//! Approvals and the messages they arm. Every change is a transition of the pure machine, applied here with its effects.

use super::entries::{drop_suffix, keep_suffix};
use super::{Page, Place, Store, audit, backup, entries, intents, json, named, outbox, touch};
use crate::approval::decision::{self, Effect, Event, Facts, Refused, State};
use crate::approval::names::{self, Familiar};
use crate::approval::notices::{Eyes, Notice, notices};
use crate::approval::repeats::{self, Earlier, Fate};
use crate::approval::{Action, Approval, Policy, Verdict};
use crate::audit::{Fact, Whose};
use crate::clock::{Millis, rfc3339};
use crate::digest::Digest;
use crate::intent;
use crate::journal::{Answer, Ask, Entry};
use crate::people::{Actor, Scope, Through};
use crate::refusals::{Code, Problem, Result};
use crate::tools::approval::REQUEST;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An approval with where it belongs and who decided it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The approval.
    pub approval: Approval,
    /// Its intent.
    pub intent: String,
    /// On whose behalf.
    pub user: String,
    /// The agent that asks.
    pub agent: String,
    /// The arguments of the `approval.request` that waits for it; `None` where a parked send does.
    pub request: Option<String>,
    /// Who decided, if somebody has.
    pub decided: Option<Decision>,
    /// What the operator allowed when it was asked, or else decided: a number of [`Store::policy`].
    pub policy: i64,
    /// While it is pending: whom of its recipients the user has written to before.
    pub correspondents: BTreeSet<String>,
    /// Where there is a message: the sender's domain, those the operator lists, and those the user has written to. What looks like one is told.
    pub familiar: Arc<Familiar>,
    /// Who looks at it, where that may be somebody else than its user: what is said of the user is then said by name.
    pub viewer: Option<String>,
    /// Who gave its intent to the agent, and through what, as recorded; missing where that was before it was recorded.
    pub submitted_by: Option<String>,
    /// Who changed the message to what leaves now, as recorded; missing where it is the agent's own, and where it was changed before this
    /// was recorded.
    pub edited_by: Option<String>,
    /// What the token it was decided through is called, where it was one and is still there.
    pub token: Option<String>,
    /// While it is pending: what became of messages before that look the same.
    pub earlier: Vec<Earlier>,
    /// While it is pending: when the backup was taken it was restored from. It may have been decided since.
    pub restored_ms: Option<Millis>,
}

impl Stored {
    /// Whether the user had written to this recipient before. Of what has been decided nobody needs to know any more.
    pub fn has_written_to(&self, address: &str) -> bool {
        self.approval.state != State::Pending || self.correspondents.contains(address)
    }

    /// What deserves a second look.
    pub fn notices(&self) -> Vec<Notice> {
        let restored = self.restored_ms.map(Notice::restored);
        let eyes = Eyes {
            user: self.viewer.as_ref().filter(|viewer| **viewer != self.user).map(|_| self.user.as_str()),
            has_written_to: &|address| self.has_written_to(address),
            familiar: &self.familiar,
        };
        let found = notices(&self.approval, &eyes);
        restored.into_iter().chain(self.earlier.iter().map(Notice::earlier)).chain(found).collect()
    }

    /// Who decided, in words, if somebody has.
    pub fn decided_by(&self) -> Option<String> {
        self.decided.as_ref().map(|decided| Actor::read(&decided.by).told(self.token.as_deref()))
    }
}

/// A decision as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub verdict: Verdict,
    /// When.
    pub at_ms: Millis,
    /// Who, and through what, as [`Actor::read`] reads it.
    pub by: String,
    /// What they wrote beside it. Stays with the host.
    pub note: Option<String>,
}

/// Where an approval is looked for, and its id.
pub type Key<'a> = (Scope<'a>, &'a str);

impl Store {
    /// The approval `id`.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`, also for an approval outside the scope.
    pub fn approval<'a>(&self, scope: impl Into<Scope<'a>>, id: &str) -> Result<Stored> {
        let scope = scope.into();
        self.read(|db| find(db, scope, id))
    }

    /// Approvals, newest first.
    pub fn approvals(&self, scope: Scope<'_>, pending: bool, page: Page<'_>) -> Result<Vec<Stored>> {
        let mut sql = format!("{SELECT} WHERE approval.tenant = ?1");
        for (is_there, condition) in [
            (scope.user.is_some(), "approval.user = ?2"),
            (pending, "approval.state = 'pending'"),
            (
                page.before.is_some(),
                "approval.seq < (SELECT seq FROM approval WHERE id = ?3 AND tenant = ?1)",
            ),
        ] {
            if is_there {
                sql += &format!(" AND {condition}");
            }
        }
        sql += " ORDER BY approval.seq DESC LIMIT ?4";
        let values = params![scope.tenant, scope.user, page.before, page.limit];
        self.read(|db| {
            super::behind(db, ("approval", "id"), scope, page.before)?;
            let mut statement = db.prepare_cached(&sql)?;
            let beside = Beside::new(db);
            let rows = statement.query_map(values, |row| beside.stored(row))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// How many approvals wait, counted as far as `most`.
    pub fn pending(&self, Scope { tenant, user }: Scope<'_>, most: u32) -> Result<u32> {
        let of = if user.is_some() { "AND user = ?2" } else { "" };
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM approval WHERE tenant = ?1 {of} AND state = 'pending' LIMIT ?3)"
        );
        self.read(|db| {
            Ok(db.prepare_cached(&sql)?.query_row(params![tenant, user, most], |row| row.get(0))?)
        })
    }

    /// The approvals of one intent, in the order they were asked.
    pub fn approvals_of(&self, seq: i64) -> Result<Vec<Stored>> {
        self.read(|db| {
            let sql = format!("{SELECT} WHERE approval.intent = ?1 ORDER BY approval.seq");
            let mut statement = db.prepare_cached(&sql)?;
            let beside = Beside::new(db);
            Ok(statement.query_map([seq], |row| beside.stored(row))?.collect::<Result<_, _>>()?)
        })
    }

    /// Decides: one transaction for the decision, the armed message, the run's journal and its waking. `policy` is what the
    /// operator allows now. Gives the head of the audit chain.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `ALREADY_DECIDED`, naming the first decision; `STALE_DIGEST`.
    pub async fn decide(
        &self,
        key: Key<'_>,
        decision: Decision,
        shown: Digest,
        policy: i64,
    ) -> Result<Digest> {
        let event = Event::Decide { verdict: decision.verdict, shown };
        let at_ms = decision.at_ms;
        self.person(key, event, at_ms, Says::Decision(decision, policy)).await
    }

    /// Changes the message a person was shown, to `edited`, or with nothing back to the agent's own; `digest` names what leaves
    /// then. Gives the head of the audit chain.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `ALREADY_DECIDED`; `STALE_DIGEST` where it is not what was `shown` any more.
    pub async fn edit(
        &self,
        key: Key<'_>,
        (edited, digest): (Option<Action>, Digest),
        shown: Digest,
        by: &str,
        now: Millis,
    ) -> Result<Digest> {
        self.person(
            key,
            Event::Edit { shown },
            now,
            Says::Edit { edited: edited.map(Box::new), digest, by: by.into() },
        )
        .await
    }

    /// Takes a yes back that has not been used. Gives the head of the audit chain.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `ALREADY_DECIDED` where there is no yes, or it has been used.
    pub async fn revoke_approval(&self, key: Key<'_>, by: &str, now: Millis) -> Result<Digest> {
        self.person(key, Event::Revoke, now, Says::Revoke { by: by.into() }).await
    }

    /// What a person does to one approval.
    async fn person(&self, (scope, id): Key<'_>, event: Event, now: Millis, says: Says) -> Result<Digest> {
        let (tenant, user, id) = (scope.tenant.to_owned(), scope.user.map(str::to_owned), id.to_owned());
        self.write(move |db| {
            let found = find(db, Scope { tenant: &tenant, user: user.as_deref() }, &id)?;
            touch(db, now)?;
            transition(db, &id, event, now, &says).map_err(|error| match error {
                Failed::Refused(refused) => refusal(&found, event, refused).into(),
                Failed::Fault(error) => crate::refusals::Error::from(error),
            })?;
            Ok(audit::head(db, &tenant)?.1)
        })
        .await
    }

    /// Expires what is over: pending approvals, whose runs it wakes, and approved ones that were never used. Gives the
    /// intents that can be picked up.
    pub async fn expire(&self, now: Millis) -> Result<Vec<Place>> {
        let any = self.read(|db| Ok(db.prepare_cached(DUE)?.exists([now])?))?;
        if !any {
            return Ok(Vec::new());
        }
        self.write(move |db| {
            touch(db, now)?;
            expire_all(db, now)
        })
        .await
    }
}

/// What is over at an instant, `?1`.
const DUE: &str = "SELECT approval.id, intent.tenant, intent.user, intent.id, approval.state \
                   FROM approval JOIN intent ON intent.seq = approval.intent \
                   WHERE approval.expires_ms <= ?1 AND approval.state IN ('pending', 'approved') \
                   AND (approval.state = 'pending' OR binding IN ('exact', 'declared'))";

/// Expires what is over. Gives the intents that can be picked up.
pub(super) fn expire_all(db: &Connection, now: Millis) -> Result<Vec<Place>> {
    let mut woken = Vec::new();
    let rows = db
        .prepare_cached(DUE)?
        .query_map([now], |row| {
            let intent = Place { tenant: row.get(1)?, user: row.get(2)?, intent: row.get(3)? };
            Ok((row.get::<_, String>(0)?, intent, row.get::<_, String>(4)?))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    for (approval, intent, state) in rows {
        transition(db, &approval, Event::Expire, now, &Says::Nothing).map_err(anyhow::Error::from)?;
        if state == State::Pending.name() {
            woken.push(intent);
        }
    }
    Ok(woken)
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

/// What a person says with an event.
pub(super) enum Says {
    /// Nothing: it happens without one.
    Nothing,
    /// Yes or no, while the operator allows this.
    Decision(Decision, i64),
    /// This shall leave instead; `None` is the agent's own message again.
    Edit { edited: Option<Box<Action>>, digest: Digest, by: String },
    /// I take it back.
    Revoke { by: String },
}

/// A row with everything a transition may need.
struct Record {
    facts: Facts,
    seq: i64,
    number: i64,
    /// What leaves, encoded.
    leaving: Option<Vec<u8>>,
    /// What names it by what is seen of it, where it is the agent's own.
    drawn: Option<Digest>,
    ask: Option<Ask>,
    asked_ms: Millis,
    tenant: String,
    user: String,
}

fn record(db: &Connection, id: &str) -> rusqlite::Result<Record> {
    let sql = "SELECT state, binding, digest, expires_ms, intent, number, coalesce(edited, action), ask_request, ask_yes, \
               ask_no, ask_expired, asked_ms, tenant, user, CASE WHEN edited IS NULL THEN drawn_digest END \
               FROM approval WHERE id = ?1";
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
            leaving: row.get(6)?,
            ask,
            asked_ms: row.get(11)?,
            tenant: row.get(12)?,
            user: row.get(13)?,
            drawn: row.get::<_, Option<_>>(14)?.map(Digest),
        })
    })
}

/// Applies one event to one approval, with all its effects.
pub(super) fn transition(
    db: &Connection,
    id: &str,
    event: Event,
    now: Millis,
    says: &Says,
) -> Result<(), Failed> {
    let record = record(db, id)?;
    let (state, effects) = decision::next(record.facts, event, now).map_err(Failed::Refused)?;
    db.prepare_cached("UPDATE approval SET state = ?2 WHERE id = ?1")?.execute(params![id, state.name()])?;
    if let Says::Decision(Decision { verdict, at_ms, by, note }, policy) = says {
        let verdict = serde_json::to_value(verdict).expect("JSON serializes");
        let sql = "UPDATE approval SET verdict = ?2, decided_ms = ?3, decided_by = ?4, note = ?5, policy = ?6 \
                   WHERE id = ?1";
        db.prepare_cached(sql)?.execute(params![id, verdict.as_str(), at_ms, by, note, policy])?;
    }
    let whose = Whose { tenant: &record.tenant, user: Some(&record.user) };
    audit::append(db, now, whose, &fact(id, &record, event, says))?;
    for effect in effects {
        match effect {
            Effect::Arm => {
                let action = record.leaving.as_deref();
                let action = action.ok_or_else(|| super::damaged("an armed approval has no action"))?;
                let Record { seq, tenant, user, facts: Facts { digest, .. }, drawn, .. } = &record;
                let (seq, digest, drawn) = (*seq, *digest, *drawn);
                let arming = outbox::Arming { approval: id, seq, tenant, user, action, digest, drawn };
                outbox::arm(db, &arming, now)?;
            }
            Effect::Disarm => outbox::cancel(db, id, now)?,
            Effect::KeepSuffix => {
                answer(db, &record, |ask| &ask.yes)?;
                keep_suffix(db, id, record.seq, record.number + 1)?;
            }
            Effect::DropSuffix => {
                let expired = event == Event::Expire;
                answer(db, &record, |ask| if expired { &ask.expired } else { &ask.no })?;
                drop_suffix(db, id)?;
            }
            Effect::Wake => {
                let status = intents::status(db, record.seq)?;
                let woken = intent::next(status, intent::Event::Wake).ok_or_else(|| {
                    super::damaged(&format!("an approval is pending for an intent that is {}", status.name()))
                })?;
                intents::set_status(db, record.seq, woken, now)?;
            }
            Effect::Rebind => {
                if let Says::Edit { edited, digest, by } = says {
                    let sql = "UPDATE approval SET edited = ?2, digest = ?3, edited_by = ?4 WHERE id = ?1";
                    let (text, by) = (edited.as_ref().map(|it| it.encode()), edited.as_ref().map(|_| by));
                    db.prepare_cached(sql)?.execute(params![id, text, digest.0, by])?;
                }
            }
        }
    }
    Ok(())
}

/// What the audit is told of an event.
fn fact<'a>(approval: &'a str, record: &Record, event: Event, says: &'a Says) -> Fact<'a> {
    let digest = record.facts.digest;
    match (event, says) {
        (Event::Decide { .. }, Says::Decision(Decision { verdict, by, .. }, _)) => {
            Fact::Decide { approval, verdict: *verdict, digest, by }
        }
        (Event::Edit { .. }, Says::Edit { digest: after, by, .. }) => {
            Fact::Edit { approval, before: digest, after: *after, by }
        }
        (Event::Revoke, Says::Revoke { by }) => Fact::Revoke { approval, by },
        (Event::Use, _) => Fact::Use { approval },
        (Event::Expire, _) => Fact::Expire { approval },
        (Event::Cancel, _) => Fact::Cancel { approval },
        (Event::Decide { .. } | Event::Edit { .. } | Event::Revoke, _) => {
            unreachable!("what a person does comes with what they say")
        }
    }
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

/// Whether an approval could be used now.
pub(super) fn can_use(db: &Connection, id: &str, now: Millis) -> rusqlite::Result<bool> {
    Ok(decision::next(record(db, id)?.facts, Event::Use, now).is_ok())
}

/// The run is over: nobody is asked for it any more, and what was armed does not leave.
pub(super) fn cancel_open_of_intent(db: &Connection, seq: i64, now: Millis) -> Result<(), Failed> {
    cancel_all(db, "WHERE intent = ?1 AND state IN ('pending', 'approved')", &[&seq], now)
}

/// A capability was revoked: what was armed under it does not leave.
pub(super) fn cancel_approved_of_agent(
    db: &Connection,
    tenant: &str,
    user: &str,
    agent: &str,
    now: Millis,
) -> Result<(), Failed> {
    // By what is open, which is little beside all that was ever asked.
    let those = "INDEXED BY approval_open WHERE state IN ('pending', 'approved') AND state = 'approved' \
                 AND tenant = ?1 AND user = ?2 AND agent = ?3";
    cancel_all(db, those, &[&tenant, &user, &agent], now)
}

fn cancel_all(
    db: &Connection,
    those: &str,
    values: &[&dyn rusqlite::ToSql],
    now: Millis,
) -> Result<(), Failed> {
    let mut statement = db.prepare_cached(&format!("SELECT id FROM approval {those}"))?;
    let ids = statement.query_map(values, |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    for id in ids {
        match transition(db, &id, Event::Cancel, now, &Says::Nothing) {
            // An approved hold or question arms nothing, and stays as it was decided.
            Ok(()) | Err(Failed::Refused(Refused::NotPossible)) => {}
            Err(failed) => return Err(failed),
        }
        drop_suffix(db, &id)?;
    }
    Ok(())
}

fn refusal(found: &Stored, event: Event, refused: Refused) -> Problem {
    let id = &found.approval.id;
    let state = found.approval.state.name();
    match (refused, &found.decided) {
        (Refused::NotPossible, _) if matches!(event, Event::Edit { .. }) => {
            Problem::new(Code::AlreadyDecided, format!("{id} is about no message that could be changed"))
                .hint(format!("`countersign approval show {id}` shows what it is about"))
        }
        (Refused::NotPossible, _) if found.approval.state == State::Pending => Problem::new(
            Code::AlreadyDecided,
            format!("{id} has not been approved: there is nothing to take back"),
        )
        .hint(format!("`countersign approval decline {id}` lets nothing leave")),
        (Refused::NotPossible, _) if found.approval.state == State::Used => {
            Problem::new(Code::AlreadyDecided, format!("{id} has been used: it is too late to take it back"))
                .hint(format!("`countersign outbox show {id}` shows what became of its message"))
        }
        (Refused::Stale, _) => {
            Problem::new(Code::StaleDigest, format!("{id} has changed since it was shown: look again"))
                .hint(format!("`countersign approval show {id}` shows what would leave, and its digest"))
        }
        (Refused::AlreadyDecided, Some(first)) => {
            let verb = match first.verdict {
                Verdict::Approve => "approved",
                Verdict::Decline => "declined",
            };
            let by = found.decided_by().unwrap_or_else(|| first.by.clone());
            let (by, at) = (crate::printable::line(&by), rfc3339(first.at_ms));
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
                      decided_by, note, edited, approval.policy, approval.user, intent.submitted_by, drawn_digest, edited_by FROM approval JOIN intent ON intent.seq = approval.intent";

fn find(db: &Connection, scope: Scope<'_>, id: &str) -> Result<Stored> {
    let whose = "approval.tenant = ?2 AND (?3 IS NULL OR approval.user = ?3)";
    let sql = format!("{SELECT} WHERE approval.id = ?1 AND {whose}");
    let values = params![id, scope.tenant, scope.user];
    let found = db.prepare_cached(&sql)?.query_row(values, |row| Beside::new(db).stored(row)).optional()?;
    Ok(found.ok_or_else(|| {
        Problem::new(Code::UnknownId, format!("there is no approval {id}"))
            .hint("`countersign approval list` shows them all")
    })?)
}

/// What is known beside the rows of one list, read once for all of them.
struct Beside<'a> {
    db: &'a Connection,
    /// By tenant, user and the domain they write from.
    familiar: RefCell<BTreeMap<(String, String, String), Arc<Familiar>>>,
    restored_ms: OnceCell<Option<Millis>>,
}

impl<'a> Beside<'a> {
    fn new(db: &'a Connection) -> Beside<'a> {
        Beside { db, familiar: RefCell::default(), restored_ms: OnceCell::new() }
    }

    fn stored(&self, row: &Row<'_>) -> rusqlite::Result<Stored> {
        let db = self.db;
        let action = |column| -> rusqlite::Result<Option<Action>> {
            let Some(bytes) = row.get::<_, Option<Vec<u8>>>(column)? else { return Ok(None) };
            Action::decode(&bytes).map(Some).ok_or_else(|| super::damaged("an action does not decode"))
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
        let state = named(row.get(1)?)?;
        let (action, edited) = (action(4)?, action(15)?);
        let id: String = row.get(0)?;
        let (correspondents, familiar, earlier) = match (state, edited.as_ref().or(action.as_ref())) {
            (State::Pending, Some(leaving)) => {
                // What is kept names the agent's own message.
                let kept = row.get::<_, Option<[u8; 32]>>(19)?.map(Digest).filter(|_| edited.is_none());
                let drawn = kept.unwrap_or_else(|| repeats::drawn(leaving));
                let earlier = earlier(db, leaving, drawn, &id)?;
                (outbox::correspondents(db, leaving)?, self.familiar(leaving)?, earlier)
            }
            // Once it is decided, whom it is new to is of no use; whose domains are known is, to tell what is usual of it.
            (_, Some(leaving)) => (BTreeSet::new(), self.familiar(leaving)?, Vec::new()),
            (_, None) => (BTreeSet::new(), Arc::default(), Vec::new()),
        };
        let token = match decided.as_ref().map(|decided| Actor::read(&decided.by).through) {
            Some(Through::Token(token)) => db
                .prepare_cached("SELECT label FROM token WHERE id = ?1")?
                .query_row([token], |row| row.get(0))
                .optional()?,
            _ => None,
        };
        let asked_ms = row.get(6)?;
        let restored_ms = match state {
            State::Pending => self.restored_ms()?.filter(|taken_ms| asked_ms <= *taken_ms),
            _ => None,
        };
        Ok(Stored {
            approval: Approval {
                id,
                state,
                verdict: decided.as_ref().map(|decided| decided.verdict),
                binding: named(row.get(2)?)?,
                digest: Digest(row.get(3)?),
                action,
                edited,
                words: json(&row.get::<_, String>(5)?)?,
                asked_ms,
                expires_ms: row.get(7)?,
                outdated: false,
            },
            intent: row.get(8)?,
            agent: row.get(9)?,
            request: row.get(10)?,
            decided,
            policy: row.get(16)?,
            user: row.get(17)?,
            submitted_by: row.get(18)?,
            edited_by: row.get(20)?,
            token,
            correspondents,
            familiar,
            viewer: None,
            earlier,
            restored_ms,
        })
    }

    fn familiar(&self, leaving: &Action) -> rusqlite::Result<Arc<Familiar>> {
        let own = names::domain(&leaving.from);
        let key = (leaving.tenant.clone(), leaving.user.clone(), own.to_owned());
        if let Some(known) = self.familiar.borrow().get(&key) {
            return Ok(known.clone());
        }
        let domains = familiar(self.db, leaving)?;
        let known = Arc::new(Familiar::new([own].into_iter().chain(domains.iter().map(String::as_str))));
        self.familiar.borrow_mut().insert(key, known.clone());
        Ok(known)
    }

    fn restored_ms(&self) -> rusqlite::Result<Option<Millis>> {
        if let Some(known) = self.restored_ms.get() {
            return Ok(*known);
        }
        let found = backup::restored(self.db)?;
        Ok(*self.restored_ms.get_or_init(|| found))
    }
}

/// The domains the operator lists, as the policy in force has them, and then those the user has written to.
fn familiar(db: &Connection, leaving: &Action) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT text FROM policy WHERE id = (SELECT value FROM meta WHERE key = 'policy')";
    let policy =
        db.prepare_cached(sql)?.query_row([], |row| json::<Policy>(&row.get::<_, String>(0)?)).optional()?;
    let patterns = policy.and_then(|policy| policy.recipients).unwrap_or_default();
    let listed = patterns.iter().filter_map(|pattern| pattern.as_str().rsplit_once('@'));
    // `*@*.company.com` names a domain as well.
    let listed = listed
        .map(|(_, domain)| domain.trim_start_matches(['*', '.']))
        .filter(|domain| !domain.contains('*'));
    let mut domains: Vec<_> = listed.filter(|domain| !domain.is_empty()).map(str::to_owned).collect();
    domains.extend(outbox::familiar(db, leaving)?);
    Ok(domains)
}

/// What became of messages before that look like this one: the latest that was declined, and the latest that was signed.
fn earlier(db: &Connection, action: &Action, drawn: Digest, but: &str) -> rusqlite::Result<Vec<Earlier>> {
    let sql = "SELECT id, decided_by, decided_ms FROM approval \
               WHERE tenant = ?1 AND user = ?2 AND drawn_digest = ?3 AND drawn_digest IS NOT NULL AND id <> ?4 \
               AND verdict = 'decline' ORDER BY asked_ms DESC LIMIT 1";
    let mut statement = db.prepare_cached(sql)?;
    let declined = statement.query_row(params![action.tenant, action.user, drawn.0, but], |row| {
        Ok(Earlier { approval: row.get(0)?, fate: Fate::Declined(row.get(1)?), at_ms: row.get(2)? })
    });
    let signed = outbox::earlier(db, action, drawn, but)?;
    Ok(declined.optional()?.into_iter().chain(signed).collect())
}
