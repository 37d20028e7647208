//! From picking a run up to putting it down: segments, look-ahead, and the commit at the end.

use super::run::{End, Outcome, Segment};
use super::{Compiled, Engine};
use crate::approval::binding::{Found, bind, question_digest};
use crate::approval::repeats::{Repeat, drawn};
use crate::approval::{Action, Approval, Binding, Policy, REPEATS_MAX, Verdict, Words, decision::State};
use crate::authority::{Authority, Call};
use crate::clock::{Clock, Millis, rfc3339};
use crate::intent::{Intent, Reason, Status};
use crate::journal::{
    Answer, Ask, Change, Commit, Committed, Entry, Ledger, Mode, NewApproval, Record, Stop,
};
use crate::meters::Meters;
use crate::moment::{Moment, reach};
use crate::refusals::{Code, Refusal};
use crate::tools::Identity;
use crate::tools::approval::{REQUEST, answer, too_many};
use crate::tools::messages::{Mailbox, SEND, rules};
use serde_json::Value;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

/// A run as the store has it.
pub struct Pickup {
    /// The intent, running.
    pub intent: Intent,
    /// Its journal.
    pub entries: Vec<Entry>,
    /// What people have decided in it.
    pub approvals: Vec<Approval>,
    /// What the agent may do now.
    pub authority: Authority,
    /// The account mail leaves from.
    pub from: String,
    /// What the operator allows now, and its number in the store.
    pub policy: (i64, Arc<Policy>),
    /// Whether mail leaves in the transaction that releases it.
    pub leaves_at_once: bool,
    /// For how long it is offered to a server otherwise.
    pub retry_ms: Millis,
    /// How many approvals of the agent may wait for the same person.
    pub pending_max: u32,
}

/// What a run reaches outside the engine.
#[derive(Clone)]
pub struct Ports {
    /// Time.
    pub clock: Arc<Clock>,
    /// Where commits go.
    pub ledger: Arc<dyn Ledger>,
    /// Where mail is.
    pub mailbox: Arc<dyn Mailbox>,
    /// What is counted.
    pub meters: Arc<Meters>,
    /// Rehearses a crash after so many answered calls, for tests of agents.
    pub crash_after: Option<usize>,
}

/// How far a run came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driven {
    /// It waits for a person.
    Waiting,
    /// It stands in line to ask a person.
    Blocked,
    /// It waits for a message to be handed over. That an attempt begins is on disk.
    Sending {
        /// The approval that armed the message.
        approval: String,
    },
    /// It has ended.
    Ended,
    /// Somebody cancelled it meanwhile.
    Lost,
    /// It crashed, as rehearsed.
    Crashed,
}

/// What is carried from one segment to the next within one pickup.
struct Drive<'a> {
    engine: &'a Engine,
    compiled: &'a Compiled,
    ports: &'a Ports,
    intent: Intent,
    identity: Identity,
    authority: Authority,
    policy: (i64, Arc<Policy>),
    leaves_at_once: bool,
    retry_ms: Millis,
    pending_max: u32,
    entries: Vec<Entry>,
    durable: usize,
    generation: u64,
    approvals: Vec<Approval>,
    fuel_max: u64,
    /// Wall time left for this pickup.
    wall: Duration,
}

impl Engine {
    /// Drives a run until it waits, ends or is lost. Every way out has been committed.
    ///
    /// # Errors
    ///
    /// Faults of the host. The run stays as its last commit left it and can be picked up again.
    pub async fn drive(&self, compiled: &Compiled, pickup: Pickup, ports: &Ports) -> anyhow::Result<Driven> {
        self.begin(compiled, pickup, ports).run().await
    }

    /// Executes a run once more from its record and nothing else, and gives how it ended and what it printed.
    ///
    /// # Errors
    ///
    /// Faults of the host.
    pub async fn replay(
        &self,
        compiled: &Compiled,
        pickup: Pickup,
        ports: &Ports,
    ) -> anyhow::Result<(End, String)> {
        let mut drive = self.begin(compiled, pickup, ports);
        if drive.intent.reason.as_ref().is_some_and(|reason| reason.code == Code::OutOfFuel) {
            drive.fuel_max = drive.intent.fuel;
        }
        let entries = take(&mut drive.entries);
        let outcome = drive.segment(entries, drive.durable, Vec::new(), Mode::Replay).await?;
        Ok((outcome.end, outcome.log))
    }

    fn begin<'a>(&'a self, compiled: &'a Compiled, pickup: Pickup, ports: &'a Ports) -> Drive<'a> {
        let Pickup { intent, entries, approvals, authority, from, policy, leaves_at_once, .. } = pickup;
        let Pickup { retry_ms, pending_max, .. } = pickup;
        let identity = Identity {
            tenant: intent.tenant.clone(),
            user: intent.user.clone(),
            intent: intent.id.clone(),
            run: intent.run,
            agent: intent.digest,
            from,
        };
        Drive {
            engine: self,
            compiled,
            ports,
            identity,
            authority,
            policy,
            leaves_at_once,
            retry_ms,
            pending_max,
            durable: entries.len(),
            entries,
            generation: intent.generation,
            approvals,
            // A replay may use what the run had used, and a little more; what lies beyond is this segment's.
            fuel_max: intent.fuel + intent.fuel / 64 + self.limits.fuel_max,
            wall: self.limits.wall_max,
            intent,
        }
    }
}

impl Drive<'_> {
    async fn run(mut self) -> anyhow::Result<Driven> {
        loop {
            let (entries, approvals) = (take(&mut self.entries), take(&mut self.approvals));
            let outcome = self.segment(entries, self.durable, approvals, Mode::Live).await?;
            let Outcome { end, record, approvals, log, fuel, took, .. } = outcome;
            self.wall = self.wall.saturating_sub(took);
            let Record { entries, durable, generation, asked } = record;
            (self.entries, self.durable, self.generation, self.approvals) =
                (entries, durable, generation, approvals);
            // The arguments of the call that waits, if one does.
            let request = asked.unwrap_or_default();
            let change = match end {
                End::Card(card) => done(Some(card), log, fuel),
                End::Nothing => done(None, log, fuel),
                End::Broken(code, message) => stopped(code, message, log, fuel),
                End::Stop(Stop::Ask(words)) => match self.ask(*words, &request).await? {
                    Ok((approval, suffix)) => {
                        let (approval, pending_max) = (Box::new(approval), self.pending_max);
                        Change::Ask { approval, suffix, uses: None, pending_max, log, fuel }
                    }
                    Err(refusal) => {
                        self.refuse(&REQUEST, request, refusal);
                        continue;
                    }
                },
                End::Stop(Stop::Park { action, hold }) => Change::Ask {
                    approval: Box::new(self.park(*action, &hold)?),
                    suffix: Vec::new(),
                    uses: Some(hold),
                    pending_max: self.pending_max,
                    log,
                    fuel,
                },
                End::Stop(Stop::Send { approval, message, answer }) => {
                    let (request, retry_ms) = (request.clone(), self.retry_ms);
                    Change::Send { approval, message, request, answer, retry_ms, log, fuel }
                }
                End::Stop(Stop::Lost) => return Ok(Driven::Lost),
                End::Stop(Stop::Crashed) => return Ok(Driven::Crashed),
                End::Stop(Stop::Limit(code)) => {
                    let message = match code {
                        Code::OutOfTime => "the agent and its calls took longer than a segment may",
                        Code::TooManyCalls => "the agent called more often than a run may",
                        _ => "the record of the run is full",
                    };
                    stopped(code, message.into(), log, fuel)
                }
                End::Stop(stop @ Stop::Diverged { .. }) => {
                    stopped(Code::ReplayDiverged, stop.to_string(), log, fuel)
                }
                End::Stop(stop @ (Stop::Found(_) | Stop::Barred(_) | Stop::Beyond { .. })) => {
                    anyhow::bail!("a live run stopped as only a branch or a replay does: {stop}")
                }
            };
            let waits = Waits::of(&change);
            let (intent, generation, first) = (self.intent.id.clone(), self.generation, self.durable);
            let entries = self.entries[self.durable..].to_vec();
            let at_ms = self.ports.clock.now();
            let commit = Commit { intent, generation, first, entries, at_ms, change };
            let (before, after) = waits.moments();
            reach(before);
            let committed = self.ports.ledger.commit(commit).await?;
            reach(after);
            match (committed, waits) {
                (Committed::Durable(_), Waits::Ask | Waits::Park { .. }) => return Ok(Driven::Waiting),
                (Committed::Durable(_), Waits::Send { approval }) => return Ok(Driven::Sending { approval }),
                (Committed::Durable(_), Waits::Ended) => return Ok(Driven::Ended),
                (Committed::Lost, _) => return Ok(Driven::Lost),
                (Committed::InLine, Waits::Ask | Waits::Park { .. }) => return Ok(Driven::Blocked),
                (Committed::Spared(repeat), Waits::Ask) => {
                    self.refuse(&REQUEST, request, spared(repeat, at_ms));
                }
                (Committed::Spared(repeat), Waits::Park { .. }) => {
                    self.refuse(&SEND, request, spared(repeat, at_ms));
                }
                // Revoked or expired since the run was picked up: the send is judged again.
                (Committed::Withdrawn, Waits::Park { approval } | Waits::Send { approval }) => {
                    self.withdraw(&approval);
                }
                (committed, _) => anyhow::bail!("an end of a run was refused as an ask is: {committed:?}"),
            }
        }
    }

    async fn segment(
        &self,
        entries: Vec<Entry>,
        durable: usize,
        approvals: Vec<Approval>,
        mode: Mode,
    ) -> anyhow::Result<Outcome> {
        let segment = Segment {
            intent: &self.intent,
            identity: self.identity.clone(),
            authority: self.authority.clone(),
            policy: self.policy.1.clone(),
            leaves_at_once: self.leaves_at_once,
            mailbox: self.ports.mailbox.clone(),
            clock: self.ports.clock.clone(),
            ledger: self.ports.ledger.clone(),
            entries,
            durable,
            generation: self.generation,
            approvals,
            mode,
            fuel: self.fuel_max,
            wall: self.wall,
            crash_after: self.ports.crash_after.filter(|_| mode == Mode::Live),
        };
        let outcome = self.engine.execute(self.compiled, segment).await?;
        if mode != Mode::Replay {
            self.ports.meters.segment(outcome.fuel, outcome.memory_bytes);
        }
        Ok(outcome)
    }

    /// Looks ahead and fixes what the answer will be about; or gives the refusal the ask hears.
    async fn ask(
        &mut self,
        words: Words,
        request: &str,
    ) -> anyhow::Result<Result<(NewApproval, Vec<Entry>), Refusal>> {
        let asked_ms = self.ports.clock.now();
        let id = self.ports.clock.id("appr_");
        let answer = |verdict| serde_json::to_string(&answer(&id, verdict, asked_ms));
        let ask = Ask {
            request: request.to_owned(),
            yes: answer(Some(Verdict::Approve))?,
            no: answer(Some(Verdict::Decline))?,
            expired: answer(None)?,
        };
        let mut approval = NewApproval {
            binding: Binding::Hold,
            digest: question_digest(&self.identity.action(), &words),
            action: None,
            drawn: None,
            words,
            ask: Some(ask.clone()),
            id,
            asked_ms,
            expires_ms: asked_ms + self.policy.1.pending_ms,
            policy: self.policy.0,
        };
        reach(Moment::LookingAhead);
        let ahead = self.look_ahead(&approval, ask).await?;
        reach(Moment::LookedAhead);
        let (found, suffix) = match ahead {
            Ok(ahead) => ahead,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let declared = approval.words.declared();
        let (authority, identity, policy) = (&self.authority, &self.identity, &*self.policy.1);
        let declared = declared.and_then(|message| rules::declared(authority, identity, policy, message));
        (approval.binding, approval.action) = bind(found, declared, &self.approvals);
        if let Err(refusal) = policy.admit_binding(approval.binding) {
            return Ok(Err(refusal));
        }
        if let Some(action) = &approval.action {
            approval.digest = action.digest();
            approval.drawn = Some(drawn(action));
        }
        Ok(Ok((approval, suffix)))
    }

    /// Runs the agent ahead on a branch, with a provisional yes and all effects off, to its next guarded call.
    ///
    /// The branch hears exactly what the run will hear on yes, so what it does is what the run will do.
    async fn look_ahead(
        &mut self,
        approval: &NewApproval,
        ask: Ask,
    ) -> anyhow::Result<Result<(Found, Vec<Entry>), Refusal>> {
        let mut entries = self.entries.clone();
        let yes = Answer::Value(ask.yes);
        let at_ms = approval.asked_ms;
        entries.push(Entry { call: REQUEST.name.into(), request: ask.request, answer: yes, at_ms });
        let fork = entries.len();
        let mut approvals = self.approvals.clone();
        approvals.push(Approval {
            id: approval.id.clone(),
            state: State::Approved,
            verdict: Some(Verdict::Approve),
            binding: approval.binding,
            digest: approval.digest,
            action: None,
            edited: None,
            words: approval.words.clone(),
            asked_ms: approval.asked_ms,
            expires_ms: approval.expires_ms,
            outdated: false,
        });
        let outcome = self.segment(entries, fork, approvals, Mode::Branch).await?;
        self.wall = self.wall.saturating_sub(outcome.took);
        let found = match outcome.end {
            End::Stop(Stop::Found(action)) => Found::Action(action),
            End::Stop(Stop::Barred(refusal)) => return Ok(Err(refusal)),
            End::Card(_) | End::Nothing => Found::Nothing,
            End::Stop(_) | End::Broken(..) => Found::Unknown,
        };
        let mut entries = outcome.record.entries;
        Ok(Ok((found, entries.split_off(fork.min(entries.len())))))
    }

    /// The approval of a send that came after a hold: the person is shown the whole message.
    fn park(&self, action: Action, hold: &str) -> anyhow::Result<NewApproval> {
        let words = self.approvals.iter().find(|approval| approval.id == hold).map(|hold| hold.words.clone());
        let asked_ms = self.ports.clock.now();
        Ok(NewApproval {
            id: self.ports.clock.id("appr_"),
            binding: Binding::Exact,
            digest: action.digest(),
            drawn: Some(drawn(&action)),
            action: Some(action),
            words: words.ok_or_else(|| anyhow::anyhow!("a send was parked on an unknown hold {hold}"))?,
            ask: None,
            asked_ms,
            expires_ms: asked_ms + self.policy.1.pending_ms,
            policy: self.policy.0,
        })
    }

    /// Records a refusal as the answer of the call that waits, so that the run goes on behind it.
    fn refuse(&mut self, call: &Call, request: String, refusal: Refusal) {
        let at_ms = self.ports.clock.now();
        let answer = Answer::Refused(refusal);
        self.entries.push(Entry { call: call.name.into(), request, answer, at_ms });
    }

    fn withdraw(&mut self, approval: &str) {
        let withdrawn = self.approvals.iter_mut().filter(|known| known.id == approval);
        withdrawn.for_each(|approval| approval.state = State::Cancelled);
    }
}

/// What the agent hears where people are spared its ask.
fn spared(repeat: Repeat, now: Millis) -> Refusal {
    let (limit, what, until_ms) = match repeat {
        Repeat::TooOften { until_ms } => (REPEATS_MAX, "for the same message without a yes".into(), until_ms),
        Repeat::Declined { at_ms, until_ms } => {
            let what = format!("for the same message, which the user declined at {}", rfc3339(at_ms));
            (1, what, until_ms)
        }
    };
    too_many(limit as usize, &what, Some(until_ms - now))
}

/// What a run waits for, once its change is on disk.
enum Waits {
    /// The answer to its ask.
    Ask,
    /// The answer to its parked send.
    Park { approval: String },
    /// Its message.
    Send { approval: String },
    /// Nothing any more.
    Ended,
}

impl Waits {
    fn of(change: &Change) -> Waits {
        match change {
            Change::Ask { uses: None, .. } => Waits::Ask,
            Change::Ask { uses: Some(hold), .. } => Waits::Park { approval: hold.clone() },
            Change::Send { approval, .. } => Waits::Send { approval: approval.clone() },
            Change::Release { .. } | Change::Disarm { .. } | Change::End { .. } => Waits::Ended,
        }
    }

    /// The moments before and behind its commit.
    fn moments(&self) -> (Moment, Moment) {
        match self {
            Waits::Ask | Waits::Park { .. } => (Moment::Asking, Moment::Asked),
            Waits::Send { .. } => (Moment::Sending, Moment::Attempted),
            Waits::Ended => (Moment::Ending, Moment::Ended),
        }
    }
}

fn done(card: Option<Value>, log: String, fuel: u64) -> Change {
    Change::End { status: Status::Done, card, reason: None, log, fuel }
}

fn stopped(code: Code, message: String, log: String, fuel: u64) -> Change {
    Change::End { status: Status::Stopped, card: None, reason: Some(Reason { code, message }), log, fuel }
}
