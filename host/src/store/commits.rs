//! Commits of runs: the answers, and what they did, in one transaction.

use super::decisions::{Failed, Says};
use super::{Store, decisions, entries, intents, line, named, outbox, touch};
use crate::approval::decision::{Event as Happens, Refused};
use crate::approval::repeats::{self, Asked, Repeat};
use crate::approval::{REPEATS_MAX, REPEATS_MS, Verdict};
use crate::clock::Millis;
use crate::intent::{Event, Status, next};
use crate::journal::{Change, Commit, Committed, Ledger, NewApproval};
use crate::refusals::{Error, Result};
use rusqlite::{Connection, params};
use std::future::Future;
use std::pin::Pin;

impl Ledger for Store {
    fn commit(&self, commit: Commit) -> Pin<Box<dyn Future<Output = anyhow::Result<Committed>> + Send + '_>> {
        Box::pin(async move {
            self.write(move |db| apply(db, commit)).await.map_err(|error| match error {
                Error::Refused(problem) => problem.into(),
                Error::Fault(error) => error,
            })
        })
    }
}

/// Who a run belongs to, as far as its commits need it.
struct Owner {
    seq: i64,
    tenant: String,
    user: String,
    agent: String,
    /// Where it stands in the line of those that would ask.
    line: Option<i64>,
}

impl Owner {
    /// Whose line it is.
    fn of(&self) -> line::Of<'_> {
        (&self.tenant, &self.user, &self.agent)
    }
}

fn apply(db: &Connection, commit: Commit) -> Result<Committed> {
    let Commit { intent, generation, first, entries, at_ms, change } = commit;
    let sql = "SELECT seq, tenant, user, agent, line, status, generation FROM intent WHERE id = ?1";
    let (owner, status, found) = db.prepare_cached(sql)?.query_row([&intent], |row| {
        let (seq, tenant, user) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let owner = Owner { seq, tenant, user, agent: row.get(3)?, line: row.get(4)? };
        Ok((owner, named::<Status>(row.get(5)?)?, row.get::<_, i64>(6)? as u64))
    })?;
    if found != generation || status != Status::Running {
        return Ok(Committed::Lost);
    }
    let mut in_line = false;
    // Everything that could turn the commit away is looked at before anything is written.
    match &change {
        Change::Release { approval, .. } | Change::Send { approval, .. }
            if !decisions::can_use(db, approval, at_ms)? =>
        {
            return Ok(Committed::Withdrawn);
        }
        Change::Ask { uses: Some(hold), .. } if !decisions::can_use(db, hold, at_ms)? => {
            return Ok(Committed::Withdrawn);
        }
        Change::Ask { approval, pending_max, .. } => {
            // What people are spared does not stand in line first.
            if let Some(repeat) = repeated(db, &owner, approval, at_ms)? {
                return Ok(Committed::Spared(repeat));
            }
            in_line = line::is_full(db, owner.of(), owner.line, *pending_max)?;
        }
        _ => {}
    }
    touch(db, at_ms)?;
    entries::insert(db, entries::Table::Entry, &owner.seq, first, &entries)?;
    let next_number = first + entries.len();
    // A run that comes to anything else than to stand in line has used its place, or needs none any more.
    match (in_line, owner.line) {
        (true, None) => line::line_up(db, owner.of(), owner.seq)?,
        (false, Some(_)) => line::leave(db, owner.seq)?,
        _ => {}
    }
    let (status, output) = match change {
        Change::Release { approval, message } => {
            decisions::transition(db, &approval, Happens::Use, at_ms, &Says::Nothing)?;
            outbox::deliver(db, &approval, &message, at_ms)?;
            (status, None)
        }
        Change::Send { approval, message, request, answer, retry_ms, log, fuel } => {
            decisions::transition(db, &approval, Happens::Use, at_ms, &Says::Nothing)?;
            let send = outbox::Waiting { number: next_number, request: &request, answer: &answer, retry_ms };
            outbox::send(db, &approval, &message, &send, at_ms)?;
            (next(status, Event::Send).expect("a running intent can send"), Some((None, None, log, fuel)))
        }
        Change::Disarm { approval } => {
            match decisions::transition(db, &approval, Happens::Cancel, at_ms, &Says::Nothing) {
                // Somebody else was faster: it is revoked or has expired, and will not leave either way.
                Ok(()) | Err(Failed::Refused(Refused::NotPossible)) => {}
                Err(failed) => return Err(failed.into()),
            }
            (status, None)
        }
        Change::Ask { log, fuel, .. } if in_line => (
            next(status, Event::LineUp).expect("a running intent can stand in line"),
            Some((None, None, log, fuel)),
        ),
        Change::Ask { approval, suffix, uses, pending_max: _, log, fuel } => {
            if let Some(hold) = uses {
                decisions::transition(db, &hold, Happens::Use, at_ms, &Says::Nothing)?;
            }
            ask(db, &owner, next_number, &approval)?;
            entries::insert(db, entries::Table::Suffix, &approval.id, 0, &suffix)?;
            (next(status, Event::Ask).expect("a running intent can ask"), Some((None, None, log, fuel)))
        }
        Change::End { status: end, card, reason, log, fuel } => {
            let reason = reason.map(|reason| serde_json::to_string(&reason).expect("JSON serializes"));
            decisions::cancel_open_of_intent(db, owner.seq, at_ms)?;
            let end = next(status, Event::End(end)).expect("a run ends done or stopped");
            (end, Some((card.map(|card| card.to_string()), reason, log, fuel)))
        }
    };
    intents::set_status(db, owner.seq, status, at_ms)?;
    if let Some((card, reason, log, fuel)) = output {
        let sql = "UPDATE intent SET card = ?2, reason = ?3, log = ?4, fuel = ?5 WHERE seq = ?1";
        db.prepare_cached(sql)?.execute(params![owner.seq, card, reason, log, fuel as i64])?;
    }
    Ok(if in_line { Committed::InLine } else { Committed::Durable(generation + 1) })
}

/// Whether people are to be spared this ask, since it is the same again.
fn repeated(
    db: &Connection,
    owner: &Owner,
    new: &NewApproval,
    now: Millis,
) -> rusqlite::Result<Option<Repeat>> {
    let Some(drawn) = new.drawn else { return Ok(None) };
    // What a person cancelled with its intent was no trouble.
    let sql = "SELECT asked_ms, verdict, decided_ms FROM approval \
               WHERE tenant = ?1 AND user = ?2 AND drawn_digest = ?3 AND asked_ms > ?4 \
               AND (state <> 'cancelled' OR verdict IS NOT NULL) ORDER BY asked_ms DESC, seq DESC LIMIT ?5";
    let values = params![owner.tenant, owner.user, drawn.0, now - REPEATS_MS, REPEATS_MAX];
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(values, |row| {
        let (asked_ms, decided_ms): (Millis, Option<Millis>) = (row.get(0)?, row.get(2)?);
        let verdict = row.get::<_, Option<String>>(1)?.map(named::<Verdict>).transpose()?;
        Ok(Asked { asked_ms, verdict: verdict.map(|verdict| (verdict, decided_ms.unwrap_or(asked_ms))) })
    })?;
    let earlier = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(repeats::spared(&earlier, now))
}

fn ask(db: &Connection, owner: &Owner, number: usize, new: &NewApproval) -> rusqlite::Result<()> {
    let words = serde_json::to_string(&new.words).expect("JSON serializes");
    let binding = serde_json::to_value(new.binding).expect("JSON serializes");
    let ask = new.ask.as_ref();
    db.prepare_cached(
        "INSERT INTO approval (id, intent, tenant, user, agent, number, state, binding, digest, drawn_digest, action, \
         words, ask_request, ask_yes, ask_no, ask_expired, asked_ms, expires_ms, policy) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?
    .execute(params![
        new.id,
        owner.seq,
        owner.tenant,
        owner.user,
        owner.agent,
        number as i64,
        binding.as_str(),
        new.digest.0,
        new.drawn.map(|drawn| drawn.0),
        new.action.as_ref().map(|action| action.encode()),
        words,
        ask.map(|ask| &ask.request),
        ask.map(|ask| &ask.yes),
        ask.map(|ask| &ask.no),
        ask.map(|ask| &ask.expired),
        new.asked_ms,
        new.expires_ms,
        new.policy,
    ])?;
    Ok(())
}
