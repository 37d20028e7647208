//! Everything that can happen to a signed message, in every order: the real machines over a simulated store, mail server,
//! clock, people and agents. One thread, no disk, no waiting. A history follows from its seed and repeats.
//!
//! `COUNTERSIGN_SEEDS=N` runs N histories, `COUNTERSIGN_SEED=N` only that one. What is stated here and not taken from the
//! machines: which steps of a life there are, who may cause them, and what a server may have taken.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says why")]

use countersign::approval::binding::{self, Found, Judgement, question_digest};
use countersign::approval::decision::{self, Effect, Refused};
use countersign::approval::outbox::{self, Outcome, Resolution, WAITS_MS};
use countersign::approval::{Action, Approval, Binding, BodyKind, Policy, Verdict, Version, Words};
use countersign::authority::{Capability, Pattern};
use countersign::clock::Millis;
use countersign::digest::Digest;
use countersign::intent::{self, Status};
use std::collections::BTreeMap;

const SEEDS: u64 = 20_000;
const STEPS: usize = 150;
const INTENTS: usize = 5;
const AGENTS: usize = 2;
const MESSAGES: usize = 3;
/// The agent's own message and two that a person may make of it.
const VARIANTS: usize = 3;
const HOUR_MS: Millis = 60 * 60 * 1000;
const YEARS_MS: Millis = 10 * 365 * 24 * HOUR_MS;
const START_MS: Millis = 50 * 365 * 24 * HOUR_MS;
/// For how long a message is offered to a server, and how often that can be.
const OFFERED_MS: Millis = 4 * HOUR_MS;
const OFFERS_MAX: usize = WAITS_MS.len() + 5;

// The machines under test

/// The machines, as parameters: a broken one shows that the simulator notices.
#[derive(Clone, Copy)]
struct Machines {
    decide: fn(decision::Facts, decision::Event, Millis) -> Decided,
    outbox: fn(outbox::Facts, outbox::Event<'_>, Millis) -> Moved,
    intent: fn(Status, intent::Event) -> Option<Status>,
    bind: fn(Found, Option<Action>, &[Approval]) -> Bound,
    judge: fn(&[Approval], &Action, Millis) -> Judgement,
    stricter: fn(&Policy, &Policy) -> bool,
}

type Bound = (Binding, Option<Action>);
type Decided = Result<(decision::State, Vec<Effect>), Refused>;
type Moved = Option<(outbox::State, Vec<outbox::Effect>)>;

const REAL: Machines = Machines {
    decide: decision::next,
    outbox: outbox::next,
    intent: intent::next,
    bind: binding::bind,
    judge: binding::judge,
    stricter: Policy::is_stricter_than,
};

/// SplitMix64: all chance in a history.
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

// What there is to send, and what operators allow

/// A message by its place in the catalogue.
type Act = usize;

/// What all histories have in common. Made once: hashing is most of the work.
struct Catalogue {
    actions: Vec<Action>,
    digests: Vec<Digest>,
    questions: Vec<Digest>,
    words: Words,
    rules: Vec<Rules>,
    policies: Vec<Policy>,
}

/// A policy in the terms of this file, so that "stricter" can be said without the function under test.
#[derive(Clone, Copy)]
struct Rules {
    hold: bool,
    html: bool,
    elsewhere: bool,
    pending_ms: Millis,
}

impl Rules {
    fn allow_less_than(self, before: Rules) -> bool {
        let forbids = |now: bool, before: bool| before && !now;
        forbids(self.hold, before.hold)
            || forbids(self.html, before.html)
            || forbids(self.elsewhere, before.elsewhere)
            || self.pending_ms < before.pending_ms
    }

    fn policy(self) -> Policy {
        Policy {
            hold: self.hold,
            html: self.html,
            mixed_directions: true,
            recipients: (!self.elsewhere).then(|| vec![Pattern::new("*@company.com")]),
            pending_ms: self.pending_ms,
            ..Policy::default()
        }
    }
}

fn act(intent: usize, message: usize, variant: usize) -> Act {
    (intent * MESSAGES + message) * VARIANTS + variant
}

/// What a person may make of the same message.
fn variant(own: Act, variant: usize) -> Act {
    own / VARIANTS * VARIANTS + variant
}

impl Catalogue {
    fn new() -> Catalogue {
        let message = |intent: usize, message: usize, variant: usize| {
            let texts = ["first", "second", "<p>third</p>"];
            // What a person makes of the second message is, byte for byte, the first: it must not let the first through.
            let body = match (message, variant) {
                (1, 1) => texts[0].to_owned(),
                (_, 0) => texts[message].to_owned(),
                _ => format!("{} as changed {variant}", texts[message]),
            };
            let elsewhere = message == 2;
            let to = if elsewhere { "you@elsewhere.org" } else { "team@company.com" };
            Action {
                version: Version::V2,
                capability: Capability::MessagesSend,
                tenant: "main".into(),
                user: "local".into(),
                intent: format!("int_{intent}"),
                run: 1,
                agent: Digest::of(&[(intent % AGENTS) as u8]),
                from: "me@company.com".into(),
                to: vec![to.into()],
                cc: vec![],
                bcc: vec![],
                subject: "Report".into(),
                body_kind: if elsewhere { BodyKind::Html } else { BodyKind::Text },
                body,
            }
        };
        let places = (0..INTENTS * MESSAGES * VARIANTS)
            .map(|place| (place / VARIANTS / MESSAGES, place / VARIANTS % MESSAGES, place % VARIANTS));
        let actions: Vec<_> = places.map(|(i, m, v)| message(i, m, v)).collect();
        let words = Words::new("send_message".into(), "Title".into(), String::new(), None).unwrap();
        let loose = Rules { hold: true, html: true, elsewhere: true, pending_ms: 72 * HOUR_MS };
        let rules = vec![
            loose,
            Rules { elsewhere: false, ..loose },
            Rules { html: false, ..loose },
            Rules { hold: false, ..loose },
            Rules { pending_ms: 24 * HOUR_MS, ..loose },
            Rules { hold: false, html: false, elsewhere: false, pending_ms: HOUR_MS },
        ];
        Catalogue {
            digests: actions.iter().map(Action::digest).collect(),
            questions: (0..INTENTS).map(|i| question_digest(&actions[act(i, 0, 0)], &words)).collect(),
            policies: rules.iter().map(|rules| rules.policy()).collect(),
            actions,
            words,
            rules,
        }
    }

    fn place(&self, action: &Action) -> Act {
        self.actions.iter().position(|known| known == action).unwrap()
    }
}

// The store

/// What is committed. A transaction works on a copy, which takes its place or is dropped.
#[derive(Clone, Default)]
struct Store {
    latest_ms: Millis,
    policy: usize,
    granted: [bool; AGENTS],
    /// How many questions of an agent people are asked at a time.
    pending_max: usize,
    intents: Vec<IntentRow>,
    approvals: Vec<ApprovalRow>,
    /// By approval, as the table is.
    outbox: Vec<Option<OutboxRow>>,
}

#[derive(Clone)]
struct IntentRow {
    status: Status,
    generation: u64,
    /// Where it stands among those that would ask.
    line: Option<usize>,
    journal: Vec<Heard>,
}

impl Store {
    /// How many questions of an agent people are asked.
    fn pending(&self, agent: usize) -> usize {
        let pending =
            |row: &&ApprovalRow| row.state == decision::State::Pending && row.intent % AGENTS == agent;
        self.approvals.iter().filter(pending).count()
    }

    /// Those of an agent that stand in line, in order.
    fn line(&self, agent: usize) -> Vec<usize> {
        let of = |intent: &usize| intent % AGENTS == agent && self.intents[*intent].line.is_some();
        let mut line: Vec<_> = (0..self.intents.len()).filter(of).collect();
        line.sort_by_key(|intent| self.intents[*intent].line);
        line
    }

    /// Whether an intent would have to wait for others.
    fn is_full(&self, intent: usize) -> bool {
        let line = self.line(intent % AGENTS);
        let before = line.iter().position(|of| *of == intent).unwrap_or(line.len());
        self.pending(intent % AGENTS) + before >= self.pending_max
    }
}

#[derive(Clone, Copy)]
struct ApprovalRow {
    intent: usize,
    number: usize,
    state: decision::State,
    verdict: Option<Verdict>,
    binding: Binding,
    digest: Digest,
    action: Option<Act>,
    edited: Option<Act>,
    /// Asked by `approval.request` rather than by a parked send.
    is_ask: bool,
    /// How many answers the branch got: they are the run's on yes.
    suffix: usize,
    asked_ms: Millis,
    expires_ms: Millis,
    policy: usize,
}

impl ApprovalRow {
    fn leaving(&self) -> Option<Act> {
        self.edited.or(self.action)
    }

    fn facts(&self) -> decision::Facts {
        let ApprovalRow { state, binding, digest, is_ask, expires_ms, .. } = *self;
        decision::Facts { state, binding, digest, parked: !is_ask, expires_ms }
    }
}

#[derive(Clone, Copy)]
struct OutboxRow {
    state: outbox::State,
    bytes: Act,
    attempts: u32,
    due_ms: Millis,
    until_ms: Millis,
    resent: bool,
    outcome: Option<Heard>,
    /// The place in the journal of the send that waits for it.
    number: Option<usize>,
}

impl OutboxRow {
    fn facts(&self) -> outbox::Facts {
        let OutboxRow { state, attempts, due_ms, until_ms, resent, .. } = *self;
        outbox::Facts { state, attempts, due_ms, until_ms, resent }
    }
}

/// An answer of the host, as far as it matters what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Read,
    Yes,
    No,
    Expired,
    Sent,
    NotSent,
    Uncertain,
    Withdrawn,
    Refused,
}

/// Why a transaction came to nothing.
enum Failed {
    Refused(Refused),
    /// The store would call its database damaged.
    Damaged(&'static str),
}

impl From<Failed> for String {
    fn from(failed: Failed) -> String {
        match failed {
            Failed::Refused(refused) => format!("a transaction failed: {refused:?}"),
            Failed::Damaged(what) => format!("a transaction failed: {what}"),
        }
    }
}

/// What comes with an event.
#[derive(Clone, Copy)]
enum Says {
    Nothing,
    Decision(Verdict),
    Edit(Option<Act>, Digest),
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Release {
        approval: usize,
    },
    Send {
        approval: usize,
    },
    Disarm {
        approval: usize,
    },
    Ask {
        binding: Binding,
        action: Option<Act>,
        is_ask: bool,
        suffix: usize,
        uses: Option<usize>,
        asked_ms: Millis,
    },
    End(Status),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Committed {
    Durable,
    InLine,
    Withdrawn,
    Lost,
}

/// One transaction under way: `store/{decisions,outbox,commits,intents,agents}.rs`, function by function, under their names.
struct Writing<'a> {
    db: Store,
    machines: Machines,
    catalogue: &'a Catalogue,
    now: Millis,
}

impl Writing<'_> {
    // decisions.rs

    fn transition(&mut self, id: usize, event: decision::Event, says: Says) -> Result<(), Failed> {
        let row = self.db.approvals[id];
        let (state, effects) =
            (self.machines.decide)(row.facts(), event, self.now).map_err(Failed::Refused)?;
        self.db.approvals[id].state = state;
        if let Says::Decision(verdict) = says {
            self.db.approvals[id].verdict = Some(verdict);
            self.db.approvals[id].policy = self.db.policy;
        }
        for effect in effects {
            match effect {
                Effect::Arm => self.arm(id)?,
                Effect::Disarm => self.cancel(id)?,
                Effect::KeepSuffix => {
                    self.answer_ask(id, Heard::Yes)?;
                    let journal = &mut self.db.intents[row.intent].journal;
                    journal.extend(std::iter::repeat_n(Heard::Read, row.suffix));
                    self.db.approvals[id].suffix = 0;
                }
                Effect::DropSuffix => {
                    let expired = event == decision::Event::Expire;
                    self.answer_ask(id, if expired { Heard::Expired } else { Heard::No })?;
                    self.db.approvals[id].suffix = 0;
                }
                Effect::Wake => {
                    let status = self.db.intents[row.intent].status;
                    let woken = (self.machines.intent)(status, intent::Event::Wake);
                    let woken = woken
                        .ok_or(Failed::Damaged("an approval is pending for an intent that cannot wake"))?;
                    self.set_status(row.intent, woken);
                }
                Effect::Rebind => {
                    if let Says::Edit(edited, digest) = says {
                        (self.db.approvals[id].edited, self.db.approvals[id].digest) = (edited, digest);
                    }
                }
            }
        }
        Ok(())
    }

    fn answer_ask(&mut self, id: usize, heard: Heard) -> Result<(), Failed> {
        let row = self.db.approvals[id];
        match row.is_ask {
            true => self.record(row.intent, row.number, &[heard]),
            false => Ok(()),
        }
    }

    fn can_use(&self, id: usize) -> bool {
        (self.machines.decide)(self.db.approvals[id].facts(), decision::Event::Use, self.now).is_ok()
    }

    fn cancel_all(&mut self, which: impl Fn(&ApprovalRow) -> bool) -> Result<(), Failed> {
        for id in 0..self.db.approvals.len() {
            if which(&self.db.approvals[id]) {
                match self.transition(id, decision::Event::Cancel, Says::Nothing) {
                    Ok(()) | Err(Failed::Refused(Refused::NotPossible)) => {}
                    Err(failed) => return Err(failed),
                }
                self.db.approvals[id].suffix = 0;
            }
        }
        Ok(())
    }

    fn expire(&mut self) -> Result<(), Failed> {
        use decision::State::{Approved, Pending};
        for id in 0..self.db.approvals.len() {
            let row = self.db.approvals[id];
            let is_open = row.state == Pending || row.state == Approved && row.action.is_some();
            if is_open && row.expires_ms <= self.now {
                self.transition(id, decision::Event::Expire, Says::Nothing)?;
            }
        }
        Ok(())
    }

    // outbox.rs

    /// Gives whether the event could happen.
    fn apply(&mut self, id: usize, event: outbox::Event<'_>) -> Result<bool, Failed> {
        let row = self.db.outbox[id].ok_or(Failed::Damaged("there is no such message"))?;
        let Some((state, effects)) = (self.machines.outbox)(row.facts(), event, self.now) else {
            return Ok(false);
        };
        let attempts = match event {
            outbox::Event::Attempt => row.attempts + 1,
            outbox::Event::Resolve { resolution: Resolution::Resend, .. } => 0,
            _ => row.attempts,
        };
        let resent = row.facts().may_have_left(event);
        self.db.outbox[id] = Some(OutboxRow { state, attempts, resent, ..row });
        for effect in effects {
            match effect {
                outbox::Effect::Due(due_ms) => self.db.outbox[id].as_mut().unwrap().due_ms = due_ms,
                outbox::Effect::Until(until_ms) => self.db.outbox[id].as_mut().unwrap().until_ms = until_ms,
                outbox::Effect::Answer => self.answer_send(id)?,
            }
        }
        Ok(true)
    }

    /// A person speaks. What has certainly not left is offered under the signature it has, while that holds.
    fn resolve(&mut self, id: usize, resolution: Resolution) -> Result<bool, Failed> {
        let (row, approval) = (self.db.outbox[id].unwrap(), self.db.approvals[id]);
        let decides_anew = row.resent || row.state == outbox::State::Uncertain;
        let mut until_ms = self.now + OFFERED_MS;
        if !decides_anew {
            let is_over = self.now >= approval.expires_ms
                || self.db.intents[approval.intent].status == Status::Cancelled;
            if is_over && resolution == Resolution::Resend {
                return Ok(false);
            }
            until_ms = until_ms.min(approval.expires_ms);
        }
        self.apply(id, outbox::Event::Resolve { resolution, until_ms })
    }

    /// Begins an attempt, or cancels what may not leave any more.
    fn attempt(&mut self, id: usize) -> Result<bool, Failed> {
        let (row, approval) = (self.db.outbox[id].unwrap(), self.db.approvals[id]);
        let Catalogue { actions, policies, .. } = self.catalogue;
        let may_leave = self.db.granted[approval.intent % AGENTS]
            && (row.resent || self.now < approval.expires_ms)
            && policies[self.db.policy].admit(&actions[row.bytes]).is_ok();
        if !may_leave {
            return match self.apply(id, outbox::Event::Cancel)? {
                true => Ok(false),
                false => Err(Failed::Damaged("what may not leave cannot be cancelled")),
            };
        }
        self.intact(id, row.bytes)?;
        self.apply(id, outbox::Event::Attempt)
    }

    fn answer_send(&mut self, id: usize) -> Result<(), Failed> {
        let (intent, row) = (self.db.approvals[id].intent, self.db.outbox[id].unwrap());
        if self.db.intents[intent].status != Status::Sending {
            return Ok(());
        }
        let number =
            row.number.ok_or(Failed::Damaged("a run waits for a message no send of it asked for"))?;
        if number != self.db.intents[intent].journal.len() {
            return Ok(());
        }
        let heard = match row.state {
            outbox::State::Sent | outbox::State::Kept => Heard::Sent,
            outbox::State::Cancelled => Heard::Withdrawn,
            outbox::State::NotSent => Heard::NotSent,
            _ => Heard::Uncertain,
        };
        self.record(intent, number, &[heard])?;
        let woken = (self.machines.intent)(Status::Sending, intent::Event::Wake);
        self.set_status(intent, woken.ok_or(Failed::Damaged("a sending intent cannot wake"))?);
        Ok(())
    }

    fn end_attempt(&mut self, id: usize, outcome: Heard, event: outbox::Event<'_>) -> Result<(), Failed> {
        self.db.outbox[id].as_mut().unwrap().outcome = Some(outcome);
        self.apply(id, event).map(|_| ())
    }

    fn arm(&mut self, id: usize) -> Result<(), Failed> {
        let row = self.db.approvals[id];
        let bytes = row.leaving().ok_or(Failed::Damaged("an armed approval has no action"))?;
        self.intact(id, bytes)?;
        if self.db.outbox[id].is_some() {
            return Err(Failed::Damaged("the approval has armed a message before"));
        }
        let state = outbox::State::Armed;
        let armed = OutboxRow {
            state,
            bytes,
            attempts: 0,
            due_ms: 0,
            until_ms: 0,
            resent: false,
            outcome: None,
            number: None,
        };
        self.db.outbox[id] = Some(armed);
        Ok(())
    }

    /// The letter itself is the matter of `proofs.rs`; here the digest stands for the bytes.
    fn intact(&self, id: usize, bytes: Act) -> Result<(), Failed> {
        match self.catalogue.digests[bytes] == self.db.approvals[id].digest {
            true => Ok(()),
            false => Err(Failed::Damaged("the bytes to send do not carry the action that was signed")),
        }
    }

    fn cancel(&mut self, id: usize) -> Result<(), Failed> {
        match self.db.outbox[id] {
            Some(_) => self.apply(id, outbox::Event::Cancel).map(|_| ()),
            None => Ok(()),
        }
    }

    /// What is on its way, where the run is cancelled or its agent may no longer send.
    fn cancel_on_its_way(&mut self, of: impl Fn(usize) -> bool) -> Result<(), Failed> {
        for id in 0..self.db.outbox.len() {
            let row = self.db.outbox[id].filter(|_| of(self.db.approvals[id].intent));
            if row.is_some_and(|row| matches!(row.state, outbox::State::Queued | outbox::State::Attempting)) {
                self.cancel(id)?;
            }
        }
        Ok(())
    }

    // commits.rs

    fn commit(&mut self, commit: &Drive, change: Change) -> Result<Committed, Failed> {
        let Drive { intent, generation, durable, entries, .. } = commit;
        let (intent, row) = (*intent, &self.db.intents[*intent]);
        let status = row.status;
        if row.generation != *generation || status != Status::Running {
            return Ok(Committed::Lost);
        }
        match change {
            Change::Release { approval } | Change::Send { approval } if !self.can_use(approval) => {
                return Ok(Committed::Withdrawn);
            }
            Change::Ask { uses: Some(hold), .. } if !self.can_use(hold) => return Ok(Committed::Withdrawn),
            _ => {}
        }
        self.record(intent, *durable, &entries[*durable..])?;
        let in_line = matches!(change, Change::Ask { .. }) && self.db.is_full(intent);
        let last = self.db.intents.iter().filter_map(|row| row.line).max().unwrap_or(0);
        let line = &mut self.db.intents[intent].line;
        *line = in_line.then(|| line.unwrap_or(last + 1));
        let status = match change {
            Change::Ask { .. } if in_line => self.moves(status, intent::Event::LineUp)?,
            Change::Release { approval } => {
                self.transition(approval, decision::Event::Use, Says::Nothing)?;
                self.leave(approval, outbox::Event::Deliver)?;
                status
            }
            Change::Send { approval } => {
                self.transition(approval, decision::Event::Use, Says::Nothing)?;
                if let Some(row) = &mut self.db.outbox[approval] {
                    row.number = Some(entries.len());
                }
                let until_ms = (self.now + OFFERED_MS).min(self.db.approvals[approval].expires_ms);
                self.leave(approval, outbox::Event::Queue { until_ms })?;
                self.moves(status, intent::Event::Send)?
            }
            Change::Disarm { approval } => {
                match self.transition(approval, decision::Event::Cancel, Says::Nothing) {
                    Ok(()) | Err(Failed::Refused(Refused::NotPossible)) => {}
                    Err(failed) => return Err(failed),
                }
                status
            }
            Change::Ask { binding, action, is_ask, suffix, uses, asked_ms } => {
                if let Some(hold) = uses {
                    self.transition(hold, decision::Event::Use, Says::Nothing)?;
                }
                let Catalogue { digests, questions, rules, .. } = self.catalogue;
                self.db.approvals.push(ApprovalRow {
                    intent,
                    number: entries.len(),
                    state: decision::State::Pending,
                    verdict: None,
                    binding,
                    digest: action.map_or(questions[intent], |action| digests[action]),
                    action,
                    edited: None,
                    is_ask,
                    suffix,
                    asked_ms,
                    expires_ms: asked_ms + rules[self.db.policy].pending_ms,
                    policy: self.db.policy,
                });
                self.db.outbox.push(None);
                self.moves(status, intent::Event::Ask)?
            }
            Change::End(end) => {
                use decision::State::{Approved, Pending};
                self.cancel_all(|row| row.intent == intent && matches!(row.state, Pending | Approved))?;
                self.moves(status, intent::Event::End(end))?
            }
        };
        self.set_status(intent, status);
        Ok(if in_line { Committed::InLine } else { Committed::Durable })
    }

    // line.rs

    fn admit(&mut self) -> Result<(), Failed> {
        for agent in 0..AGENTS {
            let free = self.db.pending_max.saturating_sub(self.db.pending(agent));
            for intent in self.db.line(agent).into_iter().take(free) {
                if self.db.intents[intent].status == Status::Blocked {
                    let woken = self.moves(Status::Blocked, intent::Event::Wake)?;
                    self.set_status(intent, woken);
                }
            }
        }
        Ok(())
    }

    fn leave(&mut self, id: usize, event: outbox::Event<'_>) -> Result<(), Failed> {
        let row = self.db.outbox[id].ok_or(Failed::Damaged("an approved message is not armed"))?;
        self.intact(id, row.bytes)?;
        match self.apply(id, event)? {
            true => Ok(()),
            false => Err(Failed::Damaged("an approved message is not armed")),
        }
    }

    // intents.rs, entries.rs, agents.rs

    fn moves(&self, status: Status, event: intent::Event) -> Result<Status, Failed> {
        (self.machines.intent)(status, event).ok_or(Failed::Damaged("a running intent cannot do that"))
    }

    fn set_status(&mut self, intent: usize, status: Status) {
        self.db.intents[intent].status = status;
        self.db.intents[intent].generation += 1;
    }

    /// Entries are numbered, and a number is used once.
    fn record(&mut self, intent: usize, number: usize, heard: &[Heard]) -> Result<(), Failed> {
        let journal = &mut self.db.intents[intent].journal;
        if journal.len() != number {
            return Err(Failed::Damaged("an answer is not the next one of its run"));
        }
        journal.extend(heard);
        Ok(())
    }

    fn cancel_intent(&mut self, intent: usize) -> Result<bool, Failed> {
        use decision::State::{Approved, Pending};
        let status = self.db.intents[intent].status;
        let Some(cancelled) = (self.machines.intent)(status, intent::Event::Cancel) else { return Ok(false) };
        self.set_status(intent, cancelled);
        self.db.intents[intent].line = None;
        self.cancel_all(|row| row.intent == intent && matches!(row.state, Pending | Approved))?;
        self.cancel_on_its_way(|of| of == intent)?;
        Ok(true)
    }

    fn deny(&mut self, agent: usize) -> Result<(), Failed> {
        self.db.granted[agent] = false;
        self.cancel_all(|row| row.intent % AGENTS == agent && row.state == decision::State::Approved)?;
        self.cancel_on_its_way(|intent| intent % AGENTS == agent)
    }
}

// Agents and those who drive them

/// What an agent does next.
#[derive(Clone, Copy, Debug)]
enum Op {
    Read,
    /// Asks, with the message spelled out or without.
    Ask(Option<Act>),
    Send(Act),
    /// Does the first when it is run ahead, and then the second.
    Shift(Act, Act),
}

struct Agent {
    ops: Vec<Op>,
    /// Ends when it hears no.
    obeys: bool,
}

impl Agent {
    fn new(chance: &mut Chance, intent: usize) -> Agent {
        let mut any = || act(intent, chance.below(MESSAGES), 0);
        let (m, n, o) = (any(), any(), any());
        let ops = match chance.below(10) {
            0 | 1 => vec![Op::Ask(None), Op::Send(m)],
            2 => vec![Op::Ask(None), Op::Shift(act(intent, 1, 0), act(intent, 0, 0))],
            3 => vec![Op::Ask(None), Op::Send(m), Op::Send(m)],
            4 => vec![Op::Ask(Some(n)), Op::Ask(None), Op::Send(m), Op::Send(n)],
            5 => vec![Op::Ask(Some(m)), Op::Ask(Some(m)), Op::Send(m), Op::Shift(m, n)],
            6 => vec![Op::Ask(None), Op::Send(m), Op::Ask(Some(o)), Op::Send(n), Op::Send(o)],
            7 => vec![Op::Ask(None)],
            8 => vec![Op::Send(m), Op::Ask(None), Op::Ask(None), Op::Send(n)],
            _ => (0..6)
                .map(|_| match chance.below(3) {
                    0 => Op::Ask(chance.one_in(2).then_some(m)),
                    1 => Op::Send(n),
                    _ => Op::Shift(m, o),
                })
                .collect(),
        };
        let mut reading = Vec::new();
        for op in ops {
            if chance.one_in(4) {
                reading.push(Op::Read);
            }
            reading.push(op);
        }
        Agent { ops: reading, obeys: chance.one_in(2) }
    }

    /// An agent knows nothing but what it has heard: its next call follows from that.
    fn next(&self, heard: &[Heard]) -> Option<Op> {
        let gives_up = self.obeys && matches!(heard.last(), Some(Heard::No | Heard::Expired));
        self.ops.get(heard.len()).copied().filter(|_| !gives_up)
    }
}

/// A run in the memory of whoever drives it.
struct Drive {
    intent: usize,
    entries: Vec<Heard>,
    durable: usize,
    generation: u64,
    approvals: Vec<Approval>,
    granted: bool,
    policy: usize,
}

/// How far the holder of a run's lock is. All of it is memory, and gone in a crash.
enum Holder {
    HandOver,
    /// That it was begun is on disk. The answer is what the holder believes, once it believes something.
    Attempt {
        approval: usize,
        bytes: Act,
        answer: Option<Outcome>,
    },
    Run(Box<Drive>),
    Commit(Box<Drive>, Change),
}

// The history

/// One thing that happens. A history is a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Submit,
    PickUp(usize),
    Go(usize),
    Server(Reaction),
    /// A transaction is torn: nothing of it is there afterwards, and nobody who wrote it.
    Torn(usize),
    Settle,
    Look {
        person: usize,
        approval: usize,
    },
    Decide {
        person: usize,
        approval: usize,
        verdict: Verdict,
    },
    Edit {
        person: usize,
        approval: usize,
        variant: usize,
    },
    TakeBack(usize),
    Resolve(usize, Resolution),
    Cancel(usize),
    Deny(usize),
    Grant(usize),
    Policy(usize),
    Crash(usize),
    PowerCut,
    Wait(Millis),
    Jump(Millis),
    /// What a server was slow to take is taken.
    Late(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    Takes,
    TakesAnswerLost,
    LosesIt,
    /// The client gives up; the server may still take it.
    TooSlow,
    Slow,
    NotNow,
    Never,
}

/// What really happened to one approval, written down beside the store.
#[derive(Clone, Default)]
struct Truth {
    /// What a person said, and the digest of what that person had before their eyes.
    said: Option<(Verdict, Digest)>,
    resolved: bool,
    /// How often it was offered again though it may have left.
    resends: u32,
    /// Whether a person has ever had it offered again.
    offered: bool,
    takings: u32,
    attempts: u32,
    failed_ms: Option<Millis>,
    /// Why nothing of it may start to leave any more.
    withdrawn: Option<&'static str>,
}

struct World<'a> {
    machines: Machines,
    catalogue: &'a Catalogue,
    chance: Chance,
    store: Store,
    agents: Vec<Agent>,
    holders: Vec<Option<Holder>>,
    truths: Vec<Truth>,
    /// What each of two people had before their eyes last.
    seen: [Option<(usize, Digest)>; 2],
    network: Vec<(usize, Act)>,
    /// The wall clock, and the highest the host has seen of it in this life.
    wall_ms: Millis,
    floor_ms: Millis,
    leaves_at_once: bool,
    /// The server nearly always says to come again.
    is_busy: bool,
    is_fair: bool,
    trace: Vec<Step>,
}

/// A history that broke an invariant.
struct Broken {
    what: String,
    trace: Vec<Step>,
}

type Checked = Result<(), String>;

impl<'a> World<'a> {
    fn new(seed: u64, machines: Machines, catalogue: &'a Catalogue) -> World<'a> {
        let mut chance = Chance(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
        World {
            machines,
            catalogue,
            leaves_at_once: chance.one_in(3),
            is_busy: chance.one_in(6),
            store: Store { granted: [true; AGENTS], pending_max: 1 + chance.below(4), ..Store::default() },
            chance,
            agents: Vec::new(),
            holders: Vec::new(),
            truths: Vec::new(),
            seen: [None; 2],
            network: Vec::new(),
            wall_ms: START_MS,
            floor_ms: 0,
            is_fair: false,
            trace: Vec::new(),
        }
    }

    fn now(&mut self) -> Millis {
        self.floor_ms = self.floor_ms.max(self.wall_ms);
        self.floor_ms
    }

    /// One transaction: all of it or nothing.
    fn write<T>(&mut self, work: impl FnOnce(&mut Writing<'_>) -> Result<T, Failed>) -> Result<T, Failed> {
        let now = self.now();
        let mut db = self.store.clone();
        db.latest_ms = db.latest_ms.max(now);
        let mut writing = Writing { db, machines: self.machines, catalogue: self.catalogue, now };
        let done = work(&mut writing)?;
        self.store = writing.db;
        Ok(done)
    }

    /// What nobody may be refused: the store calls it damage or a fault.
    fn must<T>(&mut self, work: impl FnOnce(&mut Writing<'_>) -> Result<T, Failed>) -> Result<T, String> {
        self.write(work).map_err(String::from)
    }

    /// What a person may be refused. Gives whether it was done.
    fn person(&mut self, work: impl FnOnce(&mut Writing<'_>) -> Result<(), Failed>) -> Result<bool, String> {
        match self.write(work) {
            Ok(()) => Ok(true),
            Err(Failed::Refused(_)) => Ok(false),
            Err(failed) => Err(failed.into()),
        }
    }

    fn choose(&mut self) -> Step {
        let (intents, approvals) = (self.store.intents.len(), self.store.approvals.len());
        if intents == 0 {
            return Step::Submit;
        }
        let intent = self.chance.below(intents);
        let person = self.chance.below(2);
        // Mostly what is new: that is where things are open.
        let approval = approvals.saturating_sub(1 + self.chance.below(4).min(self.chance.below(4)));
        let seen = self.seen[person].map(|(approval, _)| approval);
        match self.chance.below(200) {
            0..5 if intents < INTENTS => Step::Submit,
            0..80 => {
                match (0..intents).map(|i| (intent + i) % intents).find(|i| self.holders[*i].is_some()) {
                    Some(held) => Step::Go(held),
                    None => Step::PickUp(intent),
                }
            }
            80..110 => Step::PickUp(intent),
            110..114 => Step::Settle,
            114..120 if !self.network.is_empty() => Step::Late(self.chance.below(self.network.len())),
            114..138 if approvals > 0 => Step::Look { person, approval },
            138..168 if seen.is_some() => {
                let verdict = if self.chance.one_in(4) { Verdict::Decline } else { Verdict::Approve };
                Step::Decide { person, approval: seen.unwrap(), verdict }
            }
            168..176 if seen.is_some() => {
                Step::Edit { person, approval: seen.unwrap(), variant: self.chance.below(VARIANTS) }
            }
            176..178 if approvals > 0 => Step::TakeBack(approval),
            178..181 if approvals > 0 => {
                let says = [Resolution::Sent, Resolution::NotSent, Resolution::Resend, Resolution::Resend];
                Step::Resolve(self.chance.below(approvals), says[self.chance.below(4)])
            }
            181 => Step::Cancel(intent),
            182 => Step::Deny(self.chance.below(AGENTS)),
            183..187 => Step::Grant(self.chance.below(AGENTS)),
            187 => Step::Policy(self.chance.below(self.catalogue.policies.len())),
            188..191 => Step::Crash(intent),
            191 => Step::PowerCut,
            192 => Step::Jump(if self.chance.one_in(2) { YEARS_MS } else { -YEARS_MS }),
            193 => Step::Wait(self.chance.below(60) as Millis * HOUR_MS),
            _ => Step::Wait(self.chance.below(20_000) as Millis),
        }
    }

    fn happen(&mut self, step: Step) -> Checked {
        self.trace.push(step);
        let before = self.store.clone();
        let attempting = self.holders.iter().map(|holder| match holder {
            Some(Holder::Attempt { approval, answer, .. }) => Some((*approval, answer.clone())),
            _ => None,
        });
        let attempting: Vec<_> = attempting.collect();
        self.apply(step)?;
        self.check(&before, &attempting, step)
    }

    fn apply(&mut self, step: Step) -> Checked {
        match step {
            Step::Submit => {
                let intent = self.store.intents.len();
                self.agents.push(Agent::new(&mut self.chance, intent));
                self.holders.push(None);
                self.must(|db| {
                    let status = Status::Running;
                    db.db.intents.push(IntentRow { status, generation: 1, line: None, journal: Vec::new() });
                    Ok(())
                })?;
            }
            Step::PickUp(intent) => {
                self.holders[intent].get_or_insert(Holder::HandOver);
            }
            Step::Go(intent) => return self.go(intent),
            Step::Settle => {
                self.must(|db| db.expire())?;
                self.must(|db| db.admit())?;
                for id in 0..self.store.outbox.len() {
                    // Whoever hands it over holds the lock of its run.
                    let is_free = self.holders[self.store.approvals[id].intent].is_none();
                    if is_free && self.is_in(id, outbox::State::Attempting) {
                        self.must(|db| db.end_attempt(id, Heard::Uncertain, outbox::Event::Lost))?;
                    }
                }
            }
            Step::Look { person, approval } => {
                self.seen[person] = Some((approval, self.store.approvals[approval].digest));
            }
            Step::Decide { person, approval, verdict } => self.decide(person, approval, verdict)?,
            Step::Edit { person, approval, variant: made } => {
                let (row, (_, shown)) = (self.store.approvals[approval], self.seen[person].unwrap());
                let edited = row.action.map(|own| variant(own, made)).filter(|_| made > 0);
                let leaving = edited.or(row.action);
                let policy = &self.catalogue.policies[self.store.policy];
                if leaving.is_none_or(|act| policy.admit(&self.catalogue.actions[act]).is_ok()) {
                    let digest = leaving.map_or(row.digest, |act| self.catalogue.digests[act]);
                    let edit = decision::Event::Edit { shown };
                    self.person(|db| db.transition(approval, edit, Says::Edit(edited, digest)))?;
                }
            }
            Step::TakeBack(id) => {
                let revoke = decision::Event::Revoke;
                if self.person(|db| db.transition(id, revoke, Says::Nothing))? {
                    self.truths[id].withdrawn = Some("taken back");
                }
            }
            Step::Resolve(id, resolution) => {
                if let Some(was) = self.store.outbox[id]
                    && self.must(|db| db.resolve(id, resolution))?
                {
                    let truth = &mut self.truths[id];
                    let may_have_left = was.resent || was.state == outbox::State::Uncertain;
                    truth.resolved |= may_have_left;
                    if resolution == Resolution::Resend {
                        let resends = truth.resends + u32::from(may_have_left);
                        let again = Truth { resends, offered: true, attempts: 0, ..truth.clone() };
                        *truth = Truth { withdrawn: None, failed_ms: None, ..again };
                    }
                }
            }
            Step::Cancel(intent) => {
                if self.must(|db| db.cancel_intent(intent))? {
                    self.withdraw("its intent was cancelled", |row| row.intent == intent);
                }
            }
            Step::Deny(agent) => {
                self.must(|db| db.deny(agent))?;
                self.withdraw("its capability was revoked", |row| row.intent % AGENTS == agent);
            }
            Step::Grant(agent) => self.must(|db| {
                db.db.granted[agent] = true;
                Ok(())
            })?,
            // The operator changes the settings, and a process reads them when it begins.
            Step::Policy(policy) => {
                self.power_cut();
                self.must(|db| {
                    db.db.policy = policy;
                    Ok(())
                })?;
            }
            Step::Crash(intent) => self.holders[intent] = None,
            Step::PowerCut => {
                self.power_cut();
                self.leaves_at_once = self.chance.one_in(3);
            }
            Step::Wait(by_ms) | Step::Jump(by_ms) => self.wall_ms += by_ms,
            Step::Late(at) => {
                let (approval, bytes) = self.network.remove(at);
                return self.take(approval, bytes);
            }
            Step::Server(_) | Step::Torn(_) => {}
        }
        Ok(())
    }

    /// Everything in memory is lost: locks, attempts, how late it was. What was committed stays.
    fn power_cut(&mut self) {
        self.holders.iter_mut().for_each(|holder| *holder = None);
        self.floor_ms = self.store.latest_ms;
    }

    fn withdraw(&mut self, why: &'static str, which: impl Fn(&ApprovalRow) -> bool) {
        for (row, truth) in self.store.approvals.iter().zip(&mut self.truths) {
            if which(row) {
                truth.withdrawn = Some(why);
            }
        }
    }

    fn is_in(&self, id: usize, state: outbox::State) -> bool {
        self.store.outbox[id].is_some_and(|row| row.state == state)
    }

    fn decide(&mut self, person: usize, id: usize, verdict: Verdict) -> Checked {
        let (_, shown) = self.seen[person].unwrap();
        let event = decision::Event::Decide { verdict, shown };
        // The host spares people a yes in vain. It asks before the transaction, so sometimes it was too early to say.
        if verdict == Verdict::Approve && self.chance.one_in(2) && !self.may_leave(id) {
            return Ok(());
        }
        if self.person(|db| db.transition(id, event, Says::Decision(verdict)))? {
            if self.truths[id].said.is_some() {
                return Err("a second verdict was recorded".into());
            }
            self.truths[id] = Truth { said: Some((verdict, shown)), ..Truth::default() };
        }
        Ok(())
    }

    /// `Host::may_leave`.
    fn may_leave(&mut self, id: usize) -> bool {
        let (now, row) = (self.now(), self.store.approvals[id]);
        let policy = &self.catalogue.policies[self.store.policy];
        let admits = |act: Act| {
            self.store.granted[row.intent % AGENTS] && policy.admit(&self.catalogue.actions[act]).is_ok()
        };
        row.leaving().is_none_or(admits)
            && policy.admit_binding(row.binding).is_ok()
            && now < row.asked_ms + policy.pending_ms
    }

    // engine/drive.rs and host.rs, one wait at a time

    fn go(&mut self, intent: usize) -> Checked {
        let Some(holder) = self.holders[intent].take() else { return Ok(()) };
        let after = match holder {
            Holder::HandOver => self.hand_over(intent)?,
            Holder::Attempt { approval, bytes, answer: None } => self.serve(approval, bytes)?,
            Holder::Attempt { approval, answer: Some(outcome), .. } => {
                if self.is_torn(intent) {
                    return Ok(());
                }
                let heard = match &outcome {
                    Outcome::Sent { .. } => Heard::Sent,
                    Outcome::NotSent { .. } => Heard::NotSent,
                    Outcome::Uncertain { .. } => Heard::Uncertain,
                };
                self.must(|db| db.end_attempt(approval, heard, outbox::Event::Attempted(&outcome)))?;
                Some(Holder::HandOver)
            }
            Holder::Run(drive) => Some(self.run(drive)?),
            Holder::Commit(drive, change) => self.commit(drive, change)?,
        };
        self.holders[intent] = after;
        Ok(())
    }

    /// Now and then a writer dies in the middle of its transaction.
    fn is_torn(&mut self, intent: usize) -> bool {
        let is_torn = !self.is_fair && self.chance.one_in(30);
        if is_torn {
            self.trace.push(Step::Torn(intent));
        }
        is_torn
    }

    fn hand_over(&mut self, intent: usize) -> Result<Option<Holder>, String> {
        let now = self.now();
        for id in 0..self.store.outbox.len() {
            let Some(row) = self.store.outbox[id] else { continue };
            if self.store.approvals[id].intent != intent {
                continue;
            }
            if row.state == outbox::State::Attempting {
                self.must(|db| db.end_attempt(id, Heard::Uncertain, outbox::Event::Lost))?;
                return Ok(Some(Holder::HandOver));
            }
            let can = (self.machines.outbox)(row.facts(), outbox::Event::Attempt, now).is_some();
            if row.state == outbox::State::Queued && can {
                return Ok(Some(match self.must(|db| db.attempt(id))? {
                    true => Holder::Attempt { approval: id, bytes: row.bytes, answer: None },
                    false => Holder::HandOver,
                }));
            }
        }
        if self.store.intents[intent].status != Status::Running {
            return Ok(None);
        }
        let row = &self.store.intents[intent];
        let policies = &self.catalogue.policies;
        let known = self.store.approvals.iter().enumerate().filter(|(_, row)| row.intent == intent);
        let approvals = known.map(|(id, row)| Approval {
            id: format!("appr_{id}"),
            state: row.state,
            verdict: row.verdict,
            binding: row.binding,
            digest: row.digest,
            action: row.action.map(|act| self.catalogue.actions[act].clone()),
            edited: row.edited.map(|act| self.catalogue.actions[act].clone()),
            words: self.catalogue.words.clone(),
            asked_ms: row.asked_ms,
            expires_ms: row.expires_ms,
            outdated: (self.machines.stricter)(&policies[self.store.policy], &policies[row.policy]),
        });
        Ok(Some(Holder::Run(Box::new(Drive {
            intent,
            entries: row.journal.clone(),
            durable: row.journal.len(),
            generation: row.generation,
            approvals: approvals.collect(),
            granted: self.store.granted[intent % AGENTS],
            policy: self.store.policy,
        }))))
    }

    fn serve(&mut self, approval: usize, bytes: Act) -> Result<Option<Holder>, String> {
        use Reaction::*;
        let reaction = match (self.is_fair, self.chance.below(16)) {
            (_, 0..12) if self.is_busy => NotNow,
            (true, 0..10) | (false, 0..5) => Takes,
            (true, 10..14) | (false, 5..8) => NotNow,
            (true, _) | (false, 8) => Never,
            (false, 9..11) => TakesAnswerLost,
            (false, 11) => LosesIt,
            (false, 12) => TooSlow,
            (false, _) => Slow,
        };
        self.trace.push(Step::Server(reaction));
        if matches!(reaction, Takes | TakesAnswerLost) {
            self.take(approval, bytes)?;
        }
        if reaction == TooSlow {
            self.network.push((approval, bytes));
        }
        let why = String::new();
        let answer = match reaction {
            Takes => Some(Outcome::Sent { said: why }),
            TakesAnswerLost | LosesIt | TooSlow => Some(Outcome::Uncertain { why }),
            NotNow | Never => Some(Outcome::NotSent { why, again: reaction == NotNow, rejected: vec![] }),
            Slow => None,
        };
        Ok(Some(Holder::Attempt { approval, bytes, answer }))
    }

    /// A server takes a message: the one moment all of this is about.
    fn take(&mut self, id: usize, bytes: Act) -> Checked {
        let (row, truth) = (self.store.approvals[id], &mut self.truths[id]);
        truth.takings += 1;
        let signed = Some((Verdict::Approve, self.catalogue.digests[bytes]));
        let whose = &self.catalogue.actions[bytes].intent;
        match () {
            () if truth.said != signed => Err("bytes were taken that nobody signed".into()),
            () if row.verdict != Some(Verdict::Approve) => Err("it was taken without a recorded yes".into()),
            () if *whose != format!("int_{}", row.intent) => Err("it was taken for another intent".into()),
            () if truth.takings > 1 + truth.resends => {
                Err("it was taken twice and nobody said resend".into())
            }
            () => Ok(()),
        }
    }

    fn admits(&self, drive: &Drive, act: Act) -> bool {
        let policy = &self.catalogue.policies[drive.policy];
        drive.granted && policy.admit(&self.catalogue.actions[act]).is_ok()
    }

    /// One call of an agent.
    fn run(&mut self, mut drive: Box<Drive>) -> Result<Holder, String> {
        if self.chance.one_in(80) {
            return Ok(Holder::Commit(drive, Change::End(Status::Stopped)));
        }
        match self.agents[drive.intent].next(&drive.entries) {
            None => Ok(Holder::Commit(drive, Change::End(Status::Done))),
            Some(Op::Read) => {
                drive.entries.push(Heard::Read);
                Ok(Holder::Run(drive))
            }
            Some(Op::Ask(declared)) => self.ask(drive, declared),
            Some(Op::Send(message) | Op::Shift(_, message)) => self.send(drive, message),
        }
    }

    fn ask(&mut self, mut drive: Box<Drive>, declared: Option<Act>) -> Result<Holder, String> {
        let asked_ms = self.now();
        // The branch: what the agent does if it hears yes.
        let mut heard = drive.entries.clone();
        heard.push(Heard::Yes);
        let fork = heard.len();
        let found = loop {
            match self.agents[drive.intent].next(&heard) {
                _ if self.chance.one_in(12) => break Found::Unknown,
                Some(Op::Read) => heard.push(Heard::Read),
                Some(Op::Ask(_)) => break Found::Unknown,
                Some(Op::Send(message) | Op::Shift(message, _)) if self.admits(&drive, message) => {
                    break Found::Action(Box::new(self.catalogue.actions[message].clone()));
                }
                Some(Op::Send(_) | Op::Shift(..)) => {
                    drive.entries.push(Heard::Refused);
                    return Ok(Holder::Run(drive));
                }
                None => break Found::Nothing,
            }
        };
        let declared = declared.filter(|act| self.admits(&drive, *act));
        let declared = declared.map(|act| self.catalogue.actions[act].clone());
        let (binding, action) = (self.machines.bind)(found, declared, &drive.approvals);
        if self.catalogue.policies[drive.policy].admit_binding(binding).is_err() {
            drive.entries.push(Heard::Refused);
            return Ok(Holder::Run(drive));
        }
        let signed = |known: &Approval| {
            known.state == decision::State::Approved && !known.outdated && known.action.is_some()
        };
        let mut earlier = drive.approvals.iter().filter(|known| signed(known));
        if action.is_some() && earlier.any(|known| known.action == action) {
            return Err("a person is asked to sign twice what they mean once".into());
        }
        let action = action.map(|action| self.catalogue.place(&action));
        let suffix = heard.len() - fork;
        Ok(Holder::Commit(drive, Change::Ask { binding, action, is_ask: true, suffix, uses: None, asked_ms }))
    }

    fn send(&mut self, mut drive: Box<Drive>, message: Act) -> Result<Holder, String> {
        if !self.admits(&drive, message) {
            drive.entries.push(Heard::Refused);
            return Ok(Holder::Run(drive));
        }
        let (now, action) = (self.now(), &self.catalogue.actions[message]);
        let place = |id: &str| id[5..].parse::<usize>().unwrap();
        let change = match (self.machines.judge)(&drive.approvals, action, now) {
            Judgement::Release { approval } => {
                let approval = place(&approval);
                self.check_judgement(&drive, approval, message, now)?;
                match self.leaves_at_once {
                    true => {
                        drive.entries.push(Heard::Sent);
                        Change::Release { approval }
                    }
                    false => Change::Send { approval },
                }
            }
            Judgement::Park { hold } => {
                let (binding, uses) = (Binding::Exact, Some(place(&hold)));
                Change::Ask { binding, action: Some(message), is_ask: false, suffix: 0, uses, asked_ms: now }
            }
            Judgement::Refuse { cancel, .. } => {
                drive.entries.push(Heard::Refused);
                match cancel {
                    Some(approval) => Change::Disarm { approval: place(&approval) },
                    None => return Ok(Holder::Run(drive)),
                }
            }
        };
        Ok(Holder::Commit(drive, change))
    }

    /// The store looks again before anything leaves; the judge must not rely on that.
    fn check_judgement(&self, drive: &Drive, id: usize, message: Act, now: Millis) -> Checked {
        let (row, rules) = (self.store.approvals[id], &self.catalogue.rules);
        let known = drive.approvals.iter().find(|approval| approval.id == format!("appr_{id}")).unwrap();
        match () {
            () if known.state != decision::State::Approved => {
                Err("the judge released what is not approved".into())
            }
            () if now >= row.expires_ms => Err("the judge released what has expired".into()),
            () if row.action != Some(message) => Err("the judge released what was not asked about".into()),
            () if rules[drive.policy].allow_less_than(rules[row.policy]) => {
                Err("the judge released what the operator no longer allows".into())
            }
            () => Ok(()),
        }
    }

    fn commit(&mut self, mut drive: Box<Drive>, change: Change) -> Result<Option<Holder>, String> {
        if self.is_torn(drive.intent) {
            return Ok(None);
        }
        // People are spared some asks. Which, is the store's; that it can happen to any, is enough here.
        if matches!(change, Change::Ask { .. }) && self.chance.one_in(40) {
            drive.entries.push(Heard::Refused);
            return Ok(Some(Holder::Run(drive)));
        }
        let committed = self.must(|db| db.commit(&drive, change))?;
        if committed == Committed::Durable {
            (drive.durable, drive.generation) = (drive.entries.len(), drive.generation + 1);
        }
        let mut set = |approval: usize, state| {
            let id = format!("appr_{approval}");
            drive.approvals.iter_mut().filter(|known| known.id == id).for_each(|known| known.state = state);
        };
        match (committed, change) {
            (Committed::Lost | Committed::InLine, _) => return Ok(None),
            (Committed::Durable, Change::Ask { .. } | Change::End(_)) => return Ok(None),
            (Committed::Durable, Change::Send { .. }) => return Ok(Some(Holder::HandOver)),
            (Committed::Durable, Change::Release { approval }) => set(approval, decision::State::Used),
            (_, Change::Release { approval }) => {
                set(approval, decision::State::Cancelled);
                *drive.entries.last_mut().unwrap() = Heard::Withdrawn;
            }
            (_, Change::Disarm { approval } | Change::Send { approval }) => {
                set(approval, decision::State::Cancelled)
            }
            (_, Change::Ask { uses: Some(hold), .. }) => set(hold, decision::State::Cancelled),
            (_, Change::Ask { uses: None, .. } | Change::End(_)) => return Err("an end was withdrawn".into()),
        }
        Ok(Some(Holder::Run(drive)))
    }

    // What must hold

    /// Compares the store after a step with the store before it.
    fn check(
        &mut self,
        before: &Store,
        attempting: &[Option<(usize, Option<Outcome>)>],
        step: Step,
    ) -> Checked {
        let now = self.now();
        if self.store.latest_ms < before.latest_ms || now < self.store.latest_ms {
            return Err("the host went back in time".into());
        }
        self.truths.resize_with(self.store.approvals.len(), Truth::default);
        for id in 0..self.store.approvals.len() {
            let was = before.approvals.get(id);
            self.check_approval(id, was, step, now).map_err(|what| format!("appr_{id}: {what}"))?;
            let was = before.outbox.get(id).copied().flatten();
            self.check_outbox(id, was, before, attempting, step, now)
                .map_err(|what| format!("the message of appr_{id}: {what}"))?;
        }
        for (intent, row) in self.store.intents.iter().enumerate() {
            let was = before.intents.get(intent);
            let asks = row.status == Status::Waiting && was.is_some_and(|was| was.status == Status::Running);
            if asks && before.is_full(intent) {
                return Err(format!("int_{intent} asks before its turn"));
            }
            self.check_intent(intent, row, was).map_err(|what| format!("int_{intent}: {what}"))?;
        }
        Ok(())
    }

    fn check_approval(&self, id: usize, was: Option<&ApprovalRow>, step: Step, now: Millis) -> Checked {
        use decision::State::*;
        let row = &self.store.approvals[id];
        let said = self.truths[id].said.map(|(verdict, _)| verdict);
        if row.verdict != said {
            return Err("its verdict is not what a person said".into());
        }
        let agrees = match row.state {
            Pending => row.verdict.is_none(),
            Approved | Used | Revoked => row.verdict == Some(Verdict::Approve),
            Declined => row.verdict == Some(Verdict::Decline),
            Expired | Cancelled => row.verdict != Some(Verdict::Decline),
        };
        if !agrees {
            return Err(format!("it is {:?} and its verdict {:?}", row.state, row.verdict));
        }
        let status = self.store.intents[row.intent].status;
        if row.state == Approved && row.action.is_some() && status.is_final() {
            return Err("its run has ended and it can still be used".into());
        }
        let Some(was) = was else {
            return if row.state == Pending { Ok(()) } else { Err("it was born decided".into()) };
        };
        if (was.binding, was.action, was.expires_ms) != (row.binding, row.action, row.expires_ms) {
            return Err("what it is about has changed".into());
        }
        if was.digest != row.digest && (was.state, row.state) != (Pending, Pending) {
            return Err("it was edited and decided at once, or edited after it was decided".into());
        }
        if was.verdict.is_some() && was.verdict != row.verdict {
            return Err("its verdict was replaced".into());
        }
        let decided = matches!(step, Step::Decide { approval, .. } if approval == id);
        let can = match (was.state, row.state) {
            (a, b) if a == b => true,
            (Pending, Approved | Declined) => decided && now < row.expires_ms,
            (Pending | Approved, Expired) => now >= row.expires_ms,
            (Pending, Cancelled) => status.is_final(),
            (Approved, Used) => now < row.expires_ms,
            (Approved, Revoked) => step == Step::TakeBack(id),
            (Approved, Cancelled) => true,
            _ => false,
        };
        if can { Ok(()) } else { Err(format!("it went from {:?} to {:?}", was.state, row.state)) }
    }

    fn check_outbox(
        &mut self,
        id: usize,
        was: Option<OutboxRow>,
        before: &Store,
        attempting: &[Option<(usize, Option<Outcome>)>],
        step: Step,
        now: Millis,
    ) -> Checked {
        use outbox::State::*;
        let row = self.store.approvals[id];
        let is_approved = row.state == decision::State::Approved && row.action.is_some();
        let Some(message) = self.store.outbox[id] else {
            return if was.is_none() && !is_approved { Ok(()) } else { Err("it is missing".into()) };
        };
        if (message.state == Armed) != is_approved {
            return Err(format!("it is {:?} and its approval {:?}", message.state, row.state));
        }
        let signed = Some((Verdict::Approve, self.catalogue.digests[message.bytes]));
        if self.truths[id].said != signed || was.is_some_and(|was| was.bytes != message.bytes) {
            return Err("its bytes are not the ones that were signed".into());
        }
        let mine = attempting.get(row.intent).cloned().flatten().filter(|(attempted, _)| *attempted == id);
        let believed = mine.as_ref().and_then(|(_, answer)| answer.as_ref());
        if message.state == Attempting && was.is_some_and(|was| was.state == Attempting) {
            // Its holder lives, or it is the next thing that is found out about this run.
            let alive = matches!(&self.holders[row.intent], Some(Holder::Attempt { approval, .. }) if *approval == id);
            let moved_on = matches!(&self.holders[row.intent], Some(Holder::Run(_) | Holder::Commit(..)));
            return if alive || !moved_on { Ok(()) } else { Err("it is attempted by nobody".into()) };
        }
        let was_in = was.map(|was| was.state);
        let resolved = |resolution| step == Step::Resolve(id, resolution);
        let again = matches!(believed, Some(Outcome::NotSent { again: true, .. }));
        // What may have left before may have left still.
        let resent = was.is_some_and(|was| was.resent);
        let can = match (was_in, message.state) {
            (Some(a), b) if a == b => return Ok(()),
            (None, Armed) => matches!(step, Step::Decide { approval, .. } if approval == id),
            (Some(Armed), Kept | Queued) => return self.check_release(id, before, message.state, now),
            (Some(Armed | Queued), Cancelled) => !resent,
            (Some(Queued), Uncertain) => resent,
            (Some(Queued), Sent) => resent && resolved(Resolution::Sent),
            (Some(Queued), NotSent) => resent && resolved(Resolution::NotSent),
            (Some(Queued), Attempting) => return self.check_attempt(id, was.unwrap(), now),
            (Some(Attempting), Sent) => matches!(believed, Some(Outcome::Sent { .. })),
            (Some(Attempting), NotSent) => !resent && matches!(believed, Some(Outcome::NotSent { .. })),
            (Some(Attempting), Queued) if again => {
                self.truths[id].failed_ms = Some(now);
                true
            }
            (Some(Attempting), Uncertain) => {
                mine.is_none() || resent || matches!(believed, Some(Outcome::Uncertain { .. }))
            }
            (Some(Uncertain), Sent) => resolved(Resolution::Sent),
            (Some(Uncertain), NotSent) => resolved(Resolution::NotSent),
            (Some(Uncertain), Queued) => resolved(Resolution::Resend),
            (Some(NotSent), Queued) => !resent && resolved(Resolution::Resend),
            _ => false,
        };
        if can { Ok(()) } else { Err(format!("it went from {was_in:?} to {:?}", message.state)) }
    }

    /// It starts to leave: judged by what held in that moment, and by nothing the machines say.
    fn check_release(&mut self, id: usize, before: &Store, to: outbox::State, now: Millis) -> Checked {
        let (was, rules) = (before.approvals[id], &self.catalogue.rules);
        let bytes = self.store.outbox[id].unwrap().bytes;
        match () {
            () if now >= was.expires_ms => return Err("it left after its end".into()),
            () if self.truths[id].withdrawn.is_some() => {
                return Err(format!("it left though {}", self.truths[id].withdrawn.unwrap_or_default()));
            }
            () if !before.granted[was.intent % AGENTS] => return Err("it left without a capability".into()),
            () if rules[before.policy].allow_less_than(rules[was.policy]) => {
                return Err("it left though the operator allows less".into());
            }
            () if before.intents[was.intent].status != Status::Running => {
                return Err("it left for an intent that does not run".into());
            }
            () => {}
        }
        // The embedded mailbox takes it in the same transaction.
        if to == outbox::State::Kept { self.take(id, bytes) } else { Ok(()) }
    }

    fn check_attempt(&mut self, id: usize, was: OutboxRow, now: Millis) -> Checked {
        let truth = &mut self.truths[id];
        truth.attempts += 1;
        match () {
            () if truth.withdrawn.is_some() => {
                Err(format!("it was attempted though {}", truth.withdrawn.unwrap_or_default()))
            }
            () if !was.resent && now >= self.store.approvals[id].expires_ms => {
                Err("it was attempted after its end".into())
            }
            () if truth.attempts as usize > OFFERS_MAX => Err("it was attempted too often".into()),
            () if now < was.due_ms || truth.failed_ms.is_some_and(|failed| now < failed + WAITS_MS[0]) => {
                Err("it was attempted too early".into())
            }
            () => Ok(()),
        }
    }

    fn check_intent(&self, intent: usize, row: &IntentRow, was: Option<&IntentRow>) -> Checked {
        use Status::*;
        let own =
            || self.store.approvals.iter().enumerate().filter(|(_, approval)| approval.intent == intent);
        let pending = own().filter(|(_, approval)| approval.state == decision::State::Pending).count();
        if pending != usize::from(row.status == Waiting) {
            return Err(format!("it is {:?} and people are asked {pending} things", row.status));
        }
        if row.line.is_some() != (row.status == Blocked) && !(row.line.is_some() && row.status == Running) {
            return Err(format!("it is {:?} and its place in line {:?}", row.status, row.line));
        }
        let length = row.journal.len();
        let comes = |id: usize| {
            self.store.outbox[id].is_some_and(|message| {
                let on_its_way = matches!(message.state, outbox::State::Queued | outbox::State::Attempting);
                on_its_way && message.number == Some(length)
            })
        };
        let coming = own().filter(|(id, _)| comes(*id)).count();
        if !row.status.is_final() && coming != usize::from(row.status == Sending) {
            return Err(format!("it is {:?}, and waits for {coming} messages", row.status));
        }
        let Some(was) = was else { return Ok(()) };
        if !row.journal.starts_with(&was.journal) {
            return Err("its record was changed".into());
        }
        if was.status.is_final() && row.journal.len() != was.journal.len() {
            return Err("it heard something after its end".into());
        }
        let can = match (was.status, row.status) {
            (a, b) if a == b => true,
            (Running, Waiting | Sending | Blocked | Done | Stopped) | (Blocked, Running) => true,
            (Waiting | Sending, Running) => row.journal.len() > was.journal.len() || was.status == Waiting,
            (Running | Waiting | Sending | Blocked, Cancelled) => true,
            _ => false,
        };
        if can { Ok(()) } else { Err(format!("it went from {:?} to {:?}", was.status, row.status)) }
    }

    // The end

    /// From here on nothing crashes, people decide, the server answers and time goes on: everything must come to an end.
    fn epilogue(&mut self) -> Checked {
        self.is_fair = true;
        for _ in 0..200 {
            self.happen(Step::Settle)?;
            for id in 0..self.store.approvals.len() {
                if self.store.approvals[id].state == decision::State::Pending {
                    let may = self.may_leave(id) && !self.chance.one_in(4);
                    let verdict = if may { Verdict::Approve } else { Verdict::Decline };
                    self.happen(Step::Look { person: 0, approval: id })?;
                    self.happen(Step::Decide { person: 0, approval: id, verdict })?;
                }
            }
            for intent in 0..self.store.intents.len() {
                self.happen(Step::PickUp(intent))?;
                while self.holders[intent].is_some() {
                    self.happen(Step::Go(intent))?;
                }
            }
            while !self.network.is_empty() {
                self.happen(Step::Late(0))?;
            }
            // However far the clock had been set back, it gets there.
            let ahead = self.now() - self.wall_ms;
            self.happen(Step::Wait(ahead + HOUR_MS))?;
            use outbox::State::{Armed, Attempting, Queued};
            let is_open = |row: &OutboxRow| matches!(row.state, Armed | Queued | Attempting);
            let done = self.store.intents.iter().all(|intent| intent.status.is_final());
            if done && !self.store.outbox.iter().flatten().any(is_open) {
                return self.check_end();
            }
        }
        Err("something never comes to an end".into())
    }

    /// Sent once; or not sent, or uncertain, and somebody is told.
    fn check_end(&self) -> Checked {
        use outbox::State::*;
        for (id, (message, truth)) in self.store.outbox.iter().zip(&self.truths).enumerate() {
            let Some(message) = message else { continue };
            let intent = &self.store.intents[self.store.approvals[id].intent];
            let broken = |what: &str| Err(format!("in the end, the message of appr_{id} {what}"));
            let is_true = match message.state {
                // What a person has said about it is theirs to answer for.
                Sent | Kept => truth.takings == 1 || truth.resolved,
                NotSent => (truth.takings == 0 && message.outcome == Some(Heard::NotSent)) || truth.resolved,
                Cancelled => truth.takings == 0,
                Uncertain => message.outcome == Some(Heard::Uncertain) || truth.resends > 0,
                Armed | Queued | Attempting => false,
            };
            if !is_true {
                return broken(&format!("is {:?}, and was taken {} times", message.state, truth.takings));
            }
            let Some(heard) = message.number.map(|number| intent.journal.get(number)) else { continue };
            let is_told = match heard {
                None => intent.status == Status::Cancelled,
                Some(Heard::Sent) => truth.takings > 0,
                // What it heard was true, until a person had it offered again.
                Some(Heard::NotSent) => truth.offered || truth.takings == 0 && message.state == NotSent,
                Some(Heard::Withdrawn) => truth.takings == 0 && message.state == Cancelled,
                Some(Heard::Uncertain) => true,
                Some(_) => false,
            };
            if !is_told {
                return broken(&format!("was taken {} times, and its run heard {heard:?}", truth.takings));
            }
        }
        Ok(())
    }
}

/// Lives one history to its end.
fn history(seed: u64, machines: Machines, catalogue: &Catalogue) -> Result<World<'_>, Broken> {
    let mut world = World::new(seed, machines, catalogue);
    let mut live = || {
        for _ in 0..STEPS {
            let step = world.choose();
            world.happen(step)?;
        }
        world.epilogue()
    };
    match live() {
        Ok(()) => Ok(world),
        Err(what) => Err(Broken { what, trace: world.trace }),
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

fn tell(seed: u64, broken: &Broken) -> String {
    let Broken { what, trace } = broken;
    let steps: Vec<_> = trace.iter().enumerate().map(|(at, step)| format!("{at:4} {step:?}")).collect();
    format!("COUNTERSIGN_SEED={seed}\n{}\n{what}", steps.join("\n"))
}

#[test]
fn whatever_happens_a_message_leaves_as_it_was_signed_and_at_most_once() {
    let catalogue = Catalogue::new();
    let one = variable("COUNTERSIGN_SEED");
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => 0..variable("COUNTERSIGN_SEEDS").unwrap_or(SEEDS),
    };
    let (mut met, mut steps, mut taken) = (BTreeMap::new(), 0, 0);
    for seed in seeds.clone() {
        let world =
            history(seed, REAL, &catalogue).unwrap_or_else(|broken| panic!("{}", tell(seed, &broken)));
        steps += world.trace.len();
        taken += world.truths.iter().map(|truth| truth.takings).sum::<u32>();
        let Store { intents, approvals, outbox, .. } = &world.store;
        let approvals = approvals.iter().map(|row| format!("{:?} {:?}", row.binding, row.state));
        let messages = outbox.iter().flatten().map(|row| format!("message {:?}", row.state));
        let intents = intents.iter().map(|row| format!("intent {:?}", row.status));
        for end in approvals.chain(messages).chain(intents) {
            *met.entry(end).or_insert(0) += 1;
        }
    }
    eprintln!("{} histories, {steps} steps, {taken} messages taken; {met:?}", seeds.end - seeds.start);
    if one.is_none() {
        // A simulator that never gets anywhere proves nothing: every end there is was reached.
        let approvals = ["Used", "Declined", "Expired", "Cancelled", "Revoked"];
        let approvals = approvals.iter().flat_map(|end| [format!("Exact {end}"), format!("Declared {end}")]);
        let messages = ["Sent", "NotSent", "Uncertain", "Cancelled"].map(|end| format!("message {end}"));
        let intents = ["Done", "Stopped", "Cancelled"].map(|end| format!("intent {end}"));
        let others = ["Hold Used", "Hold Revoked", "Question Approved"].map(String::from);
        for end in approvals.chain(messages).chain(intents).chain(others) {
            assert!(met.contains_key(&end), "no history ended with {end}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    let catalogue = Catalogue::new();
    let trace =
        |seed| history(seed, REAL, &catalogue).unwrap_or_else(|broken| panic!("{}", broken.what)).trace;
    for seed in 0..50 {
        assert_eq!(trace(seed), trace(seed), "{seed}");
        assert_ne!(trace(seed), trace(seed + 1), "{seed}");
    }
}

/// How many histories a broken machine may live through unnoticed.
const NOTICED_WITHIN: u64 = 4_000;

#[test]
fn a_broken_outbox_is_noticed() {
    use outbox::{Effect::Due, Event, Facts, State::*};
    noticed("what is uncertain is tried again", "it went from Some(Attempting) to Queued", |real| Machines {
        outbox: |facts, event, now| match (facts.state, event) {
            (Attempting, Event::Attempted(Outcome::Uncertain { .. }) | Event::Lost) => {
                Some((Queued, vec![Due(now)]))
            }
            _ => outbox::next(facts, event, now),
        },
        ..real
    });
    noticed("what has left can be sent again", "it went from Some(Sent) to Queued", |real| Machines {
        outbox: |facts, event, now| match (facts.state, event) {
            (Sent, Event::Resolve { resolution: Resolution::Resend, .. }) => Some((Queued, vec![Due(now)])),
            _ => outbox::next(facts, event, now),
        },
        ..real
    });
    noticed("attempts have no end", "too often", |real| Machines {
        outbox: |facts, event, now| {
            outbox::next(
                Facts { attempts: facts.attempts.min(1), until_ms: Millis::MAX, ..facts },
                event,
                now,
            )
        },
        ..real
    });
    noticed("an attempt does not wait until it is due", "too early", |real| Machines {
        outbox: |facts, event, now| outbox::next(Facts { due_ms: 0, ..facts }, event, now),
        ..real
    });
    noticed("what waits for its turn cannot be cancelled", "cannot be cancelled", |real| Machines {
        outbox: |facts, event, now| match (facts.state, event) {
            (Queued, Event::Cancel) => None,
            _ => outbox::next(facts, event, now),
        },
        ..real
    });
    noticed("what was cancelled while it was handed over is offered again", "attempted though", |real| {
        Machines {
            outbox: |facts, event, now| match (facts.state, event) {
                (Attempting, Event::Cancel) => None,
                _ => outbox::next(facts, event, now),
            },
            ..real
        }
    });
    noticed("what was not taken counts as sent", "to Sent", |real| Machines {
        outbox: |facts, event, now| match (facts.state, event) {
            (Attempting, Event::Attempted(Outcome::NotSent { again: false, .. })) => {
                Some((Sent, vec![outbox::Effect::Answer]))
            }
            _ => outbox::next(facts, event, now),
        },
        ..real
    });
    noticed("nobody tells the run", "waits for 0 messages", |real| Machines {
        outbox: |facts, event, now| {
            let (state, effects) = outbox::next(facts, event, now)?;
            Some((state, effects.into_iter().filter(|effect| *effect != outbox::Effect::Answer).collect()))
        },
        ..real
    });
}

#[test]
fn a_broken_decision_is_noticed() {
    use decision::{Event, State::*};
    fn without(effect: Effect, decided: Decided) -> Decided {
        let (state, effects) = decided?;
        Ok((state, effects.into_iter().filter(|known| *known != effect).collect()))
    }
    noticed("a second verdict is let through", "a second verdict was recorded", |real| Machines {
        decide: |facts, event, now| match (facts.state, event) {
            (Approved, Event::Decide { verdict: Verdict::Decline, .. }) => {
                Ok((Declined, vec![Effect::Disarm]))
            }
            _ => decision::next(facts, event, now),
        },
        ..real
    });
    noticed("whatever was shown is decided on", "not the ones that were signed", |real| Machines {
        decide: |facts, event, now| match event {
            Event::Decide { verdict, .. } => {
                decision::next(facts, Event::Decide { verdict, shown: facts.digest }, now)
            }
            _ => decision::next(facts, event, now),
        },
        ..real
    });
    noticed("a verdict may come too late", "it went from Pending", |real| Machines {
        decide: |facts, event, now| match event {
            Event::Decide { .. } => decision::next(facts, event, facts.expires_ms - 1),
            _ => decision::next(facts, event, now),
        },
        ..real
    });
    noticed("a no arms", "its verdict Some(Decline)", |real| Machines {
        decide: |facts, event, now| match event {
            Event::Decide { shown, .. } => {
                decision::next(facts, Event::Decide { verdict: Verdict::Approve, shown }, now)
            }
            _ => decision::next(facts, event, now),
        },
        ..real
    });
    noticed("an edit is let through after the verdict", "edited after it was decided", |real| Machines {
        decide: |facts, event, now| match (facts.state, event) {
            (Approved, Event::Edit { .. }) => Ok((Approved, vec![Effect::Rebind])),
            _ => decision::next(facts, event, now),
        },
        ..real
    });
    noticed("what is taken back stays armed", "its approval Revoked", |real| Machines {
        decide: |facts, event, now| without(Effect::Disarm, decision::next(facts, event, now)),
        ..real
    });
    noticed("nobody wakes the run", "people are asked 0 things", |real| Machines {
        decide: |facts, event, now| without(Effect::Wake, decision::next(facts, event, now)),
        ..real
    });
    noticed("what was taken back or cancelled can be used", "not armed", |real| Machines {
        decide: |facts, event, now| match (facts.state, event) {
            (Revoked | Cancelled, Event::Use) => Ok((Used, vec![])),
            _ => decision::next(facts, event, now),
        },
        ..real
    });
    noticed("what has expired can be used", "from Approved to Used", |real| Machines {
        decide: |facts, event, now| match event {
            Event::Use => decision::next(facts, event, facts.expires_ms - 1),
            _ => decision::next(facts, event, now),
        },
        ..real
    });
}

#[test]
fn a_broken_judge_policy_or_intent_is_noticed() {
    use decision::State::{Approved, Declined, Used};
    fn as_if(approvals: &[Approval], change: impl Fn(&mut Approval)) -> Vec<Approval> {
        let mut approvals = approvals.to_vec();
        approvals.iter_mut().for_each(change);
        approvals
    }
    noticed("the judge ignores the end", "released what has expired", |real| Machines {
        judge: |approvals, action, _| binding::judge(approvals, action, Millis::MIN),
        ..real
    });
    noticed("the judge ignores what the operator allows", "no longer allows", |real| Machines {
        judge: |approvals, action, now| {
            binding::judge(&as_if(approvals, |approval| approval.outdated = false), action, now)
        },
        ..real
    });
    noticed("the judge takes one message for another", "not asked about", |real| Machines {
        judge: |approvals, action, now| {
            let blind = |approval: &mut Approval| {
                approval.action = approval.action.is_some().then(|| action.clone());
            };
            binding::judge(&as_if(approvals, blind), action, now)
        },
        ..real
    });
    noticed("the judge compares with what a person made of it", "not asked about", |real| Machines {
        judge: |approvals, action, now| {
            let edited = |approval: &mut Approval| approval.action = approval.leaving().cloned();
            binding::judge(&as_if(approvals, edited), action, now)
        },
        ..real
    });
    noticed("the judge lets a used approval through", "not approved", |real| Machines {
        judge: |approvals, action, now| {
            let again = |approval: &mut Approval| {
                if approval.state == Used {
                    approval.state = Approved;
                }
            };
            binding::judge(&as_if(approvals, again), action, now)
        },
        ..real
    });
    noticed("the judge lets a declined message through", "not approved", |real| Machines {
        judge: |approvals, action, now| {
            let anyway = |approval: &mut Approval| {
                if approval.state == Declined {
                    approval.state = Approved;
                }
            };
            binding::judge(&as_if(approvals, anyway), action, now)
        },
        ..real
    });
    noticed("an ask is bound to what was signed already", "sign twice", |real| Machines {
        bind: |found, declared, _| binding::bind(found, declared, &[]),
        ..real
    });
    noticed("no policy is stricter", "no longer allows", |real| Machines { stricter: |_, _| false, ..real });
    noticed("a run that asks goes on", "it is Running", |real| Machines {
        intent: |status, event| match event {
            intent::Event::Ask => Some(Status::Running),
            _ => intent::next(status, event),
        },
        ..real
    });
    noticed("what has ended can be cancelled", "from Done to Cancelled", |real| Machines {
        intent: |status, event| match event {
            intent::Event::Cancel => Some(Status::Cancelled),
            _ => intent::next(status, event),
        },
        ..real
    });
}

/// Lives histories with a broken machine until one of them breaks the invariant that is there for it.
fn noticed(how: &str, by: &str, broken: impl Fn(Machines) -> Machines) {
    let catalogue = Catalogue::new();
    let machines = broken(REAL);
    let noticed = |seed| history(seed, machines, &catalogue).err().filter(|broken| broken.what.contains(by));
    let first = (0..NOTICED_WITHIN).find_map(|seed| Some((seed, noticed(seed)?)));
    let (seed, Broken { what, trace }) = first.unwrap_or_else(|| panic!("nobody noticed: {how}"));
    eprintln!("{how}: seed {seed}, step {}: {what}", trace.len());
}
