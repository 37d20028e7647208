//! The one way out: every answer a guest ever hears comes from [`Journal::answer`].

use super::{
    Answer, CALLS_MAX, Change, Commit, Committed, Entry, JOURNAL_BYTES_MAX, Ledger, Stop, ToolError,
};
use crate::authority::Call;
use crate::clock::{Clock, Millis};
use crate::moment::{Moment, reach};
use crate::refusals::{Code, Refusal};
use serde::{Serialize, de::DeserializeOwned};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::time::Instant;

/// Whether live calls are for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    Live,
    /// They run ahead of a person's answer: reads only.
    Branch,
    /// There are none: the run is shown again from its record.
    Replay,
}

/// The time a guest sees: that of its last answer, moved on by its timers. Whole milliseconds.
#[derive(Clone, Debug)]
pub struct RunClock(Arc<AtomicI64>);

impl RunClock {
    /// Starts at the time the intent was submitted.
    pub fn new(start: Millis) -> RunClock {
        RunClock(Arc::new(AtomicI64::new(start)))
    }

    /// The present instant of the run.
    pub fn now(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }

    /// Moves the clock on to `at`; never back.
    pub fn reach(&self, at: Millis) {
        self.0.fetch_max(at, Ordering::Relaxed);
    }
}

/// Whose commits these are.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The intent.
    pub intent: String,
    /// The generation this process owns.
    pub generation: u64,
}

/// What a live call came to.
pub struct Live<R> {
    answer: Result<R, Refusal>,
    /// What must be durable before the guest hears it, and what it hears if that is withdrawn meanwhile.
    change: Option<(Change, Refusal)>,
}

impl<R> Live<R> {
    /// An answer that changed nothing. It may stay in memory until the next commit.
    pub fn answer(value: R) -> Live<R> {
        Live { answer: Ok(value), change: None }
    }

    /// An answer that is true only once `change` is durable; `otherwise` is heard if it is withdrawn meanwhile.
    pub fn effect(value: R, change: Change, otherwise: Refusal) -> Live<R> {
        Live { answer: Ok(value), change: Some((change, otherwise)) }
    }

    /// A refusal that takes something away.
    pub fn refuse(refusal: Refusal, change: Option<Change>) -> Live<R> {
        let change = change.map(|change| (change, refusal.clone()));
        Live { answer: Err(refusal), change }
    }
}

/// What is left of a journal when its segment has ended.
#[derive(Debug)]
pub struct Record {
    /// Every answer so far.
    pub entries: Vec<Entry>,
    /// How many of them are on disk.
    pub durable: usize,
    /// The generation owned.
    pub generation: u64,
    /// The arguments of the call that stopped the segment, if it was stopped in a call.
    pub asked: Option<String>,
}

/// The journal of one run while it executes.
pub struct Journal {
    entries: Vec<Entry>,
    cursor: usize,
    durable: usize,
    bytes: usize,
    asked: Option<String>,
    crash_after: Option<usize>,
    deadline: Option<Instant>,
    mode: Mode,
    time: RunClock,
    clock: Arc<Clock>,
    ledger: Arc<dyn Ledger>,
    owner: Owner,
}

impl Journal {
    /// Picks up a run at its record. The first `durable` entries are on disk.
    pub fn new(
        entries: Vec<Entry>,
        durable: usize,
        mode: Mode,
        time: RunClock,
        clock: Arc<Clock>,
        ledger: Arc<dyn Ledger>,
        owner: Owner,
    ) -> Journal {
        let bytes = entries.iter().map(Entry::bytes).sum();
        Journal {
            entries,
            cursor: 0,
            durable,
            bytes,
            asked: None,
            crash_after: None,
            deadline: None,
            mode,
            time,
            clock,
            ledger,
            owner,
        }
    }

    /// Until when a back end may take to answer.
    pub fn deadline(self, deadline: Instant) -> Journal {
        Journal { deadline: Some(deadline), ..self }
    }

    /// Whether this call has been answered so many times, from 1. Looks no further than it must.
    pub fn has_answered(&self, call: &Call, times: usize) -> bool {
        self.entries.iter().filter(|entry| entry.call == call.name).nth(times - 1).is_some()
    }

    /// Rehearses a crash: the first live call behind so many answers ends the segment as death would, with nothing
    /// recorded and nothing committed.
    pub fn crash_after(self, calls: Option<usize>) -> Journal {
        Journal { crash_after: calls, ..self }
    }

    /// Whether live calls are for good.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The host's time. A guest can move its own clock with timers, and must not move an expiry that way.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// What the next segment needs of this one.
    pub fn into_record(self) -> Record {
        Record {
            entries: self.entries,
            durable: self.durable,
            generation: self.owner.generation,
            asked: self.asked,
        }
    }

    /// What the record holds at the place the agent has reached, if it holds anything there: a run that ends before
    /// the end of its record contradicts it.
    pub fn unreached(&self) -> Option<Stop> {
        let entry = self.entries.get(self.cursor)?;
        Some(Stop::Diverged { call: self.cursor, expected: entry.call.clone(), got: "nothing more".into() })
    }

    /// Answers from the record where there is one; otherwise runs `live` once and records what it said.
    ///
    /// Nothing is judged again for a recorded answer: `live` is not even polled.
    ///
    /// # Errors
    ///
    /// The refusal the guest hears; or a stop, which unwinds it; or a fault of the host. Only refusals are recorded.
    pub async fn answer<Q, R, F>(&mut self, call: &'static Call, request: &Q, live: F) -> Result<R, ToolError>
    where
        Q: Serialize,
        R: Serialize + DeserializeOwned,
        F: Future<Output = Result<Live<R>, ToolError>>,
    {
        let request = serde_json::to_string(request).map_err(anyhow::Error::from)?;
        if let Some(entry) = self.entries.get(self.cursor) {
            let answer = repeat(entry, self.cursor, call, request)?;
            self.time.reach(entry.at_ms);
            self.cursor += 1;
            return answer;
        }
        if self.mode == Mode::Replay {
            return Err(Stop::Beyond { call: call.name.into(), request }.into());
        }
        if self.crash_after.is_some_and(|calls| self.cursor >= calls) {
            return Err(Stop::Crashed.into());
        }
        if self.cursor >= CALLS_MAX {
            return Err(Stop::Limit(Code::TooManyCalls).into());
        }
        let live = match self.deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, live)
                .await
                .unwrap_or(Err(Stop::Limit(Code::OutOfTime).into())),
            None => live.await,
        };
        let live = match live {
            Ok(live) => live,
            Err(ToolError::Refused(refusal)) => Live::refuse(refusal, None),
            Err(stop_or_fault) => {
                self.asked = Some(request);
                return Err(stop_or_fault);
            }
        };
        let at_ms = self.now();
        let record = |answer: &Result<R, Refusal>| {
            let answer = match answer {
                Ok(value) => Answer::Value(serde_json::to_string(value)?),
                Err(refusal) => Answer::Refused(refusal.clone()),
            };
            anyhow::Ok(Entry { call: call.name.into(), request: request.clone(), answer, at_ms })
        };
        let entry = record(&live.answer)?;
        self.bytes += entry.bytes();
        if self.bytes > JOURNAL_BYTES_MAX {
            return Err(Stop::Limit(Code::JournalFull).into());
        }
        self.entries.push(entry);
        let mut answer = live.answer;
        if let Some((change, otherwise)) = live.change
            && self.commit(change, at_ms).await? == Committed::Withdrawn
        {
            answer = Err(otherwise);
            *self.entries.last_mut().expect("just pushed") = record(&answer)?;
        }
        self.time.reach(at_ms);
        self.cursor += 1;
        answer.map_err(ToolError::Refused)
    }

    /// Makes every answer so far durable, together with `change`.
    async fn commit(&mut self, change: Change, at_ms: Millis) -> Result<Committed, ToolError> {
        if self.mode != Mode::Live {
            return Err(anyhow::anyhow!("a branch or a replay tried to commit").into());
        }
        let Owner { intent, generation } = self.owner.clone();
        let entries = self.entries[self.durable..].to_vec();
        let commit = Commit { intent, generation, first: self.durable, entries, at_ms, change };
        reach(Moment::Releasing);
        let committed = self.ledger.commit(commit).await?;
        reach(Moment::Released);
        match committed {
            Committed::Durable(generation) => {
                self.owner.generation = generation;
                self.durable = self.entries.len();
            }
            Committed::Lost => return Err(Stop::Lost.into()),
            Committed::Withdrawn | Committed::InLine | Committed::Spared(_) => {}
        }
        Ok(committed)
    }
}

/// Checks a call against its entry and gives the recorded answer.
fn repeat<R: DeserializeOwned>(
    entry: &Entry,
    number: usize,
    call: &Call,
    request: String,
) -> Result<Result<R, ToolError>, ToolError> {
    if entry.call != call.name || entry.request != request {
        let (expected, got) = if entry.call == call.name {
            let differ = first_difference(&entry.request, &request);
            (format!("{} {}", entry.call, excerpt(&entry.request, differ)), excerpt(&request, differ))
        } else {
            (entry.call.clone(), call.name.to_owned())
        };
        return Err(Stop::Diverged { call: number, expected, got }.into());
    }
    Ok(match &entry.answer {
        Answer::Value(json) => Ok(serde_json::from_str(json).map_err(anyhow::Error::from)?),
        Answer::Refused(refusal) => Err(refusal.clone().into()),
    })
}

fn first_difference(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// A few characters around byte `at`, so that a divergence in a large argument can be seen.
fn excerpt(text: &str, at: usize) -> String {
    let start = text.floor_char_boundary(at.saturating_sub(20));
    let end = text.ceil_char_boundary((at + 40).min(text.len()));
    let head = if start > 0 { "…" } else { "" };
    let tail = if end < text.len() { "…" } else { "" };
    format!("{head}{}{tail}", &text[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Kind;
    use std::pin::Pin;
    use std::sync::Mutex;

    const LIST: Call = Call { name: "messages.list", kind: Kind::Read, capability: None };
    const SEND: Call = Call { name: "messages.send", kind: Kind::Guarded, capability: None };

    /// Keeps commits in order and says what the test wants said. Stands at the journal's only exit.
    struct Desk(Mutex<Vec<Commit>>, Committed);

    impl Ledger for Desk {
        fn commit(
            &self,
            commit: Commit,
        ) -> Pin<Box<dyn Future<Output = anyhow::Result<Committed>> + Send + '_>> {
            self.0.lock().unwrap().push(commit);
            Box::pin(async { Ok(self.1) })
        }
    }

    fn journal(entries: Vec<Entry>, desk: &Arc<Desk>) -> Journal {
        let clock = Arc::new(Clock::virtual_at(1_000, 0));
        let owner = Owner { intent: "int_1".into(), generation: 1 };
        let durable = entries.len();
        Journal::new(entries, durable, Mode::Live, RunClock::new(500), clock, desk.clone(), owner)
    }

    fn desk(says: Committed) -> Arc<Desk> {
        Arc::new(Desk(Mutex::default(), says))
    }

    async fn never() -> Result<Live<u32>, ToolError> {
        panic!("a recorded answer was judged again")
    }

    #[tokio::test]
    async fn a_recorded_answer_is_repeated_and_never_judged_again() {
        let desk = desk(Committed::Durable(2));
        let mut first = journal(vec![], &desk);
        let refusal = Refusal::new(Code::CapabilityDenied, "no");
        first.answer(&LIST, &"a", async { Ok(Live::answer(7u32)) }).await.unwrap();
        let refused = first.answer::<_, u32, _>(&LIST, &"b", async { Err(refusal.clone().into()) }).await;
        assert!(matches!(refused, Err(ToolError::Refused(_))));
        assert!(desk.0.lock().unwrap().is_empty(), "reads stay in memory");

        let entries = first.into_record().entries;
        let mut second = journal(entries, &desk);
        assert_eq!(second.answer(&LIST, &"a", never()).await.unwrap(), 7);
        let Err(ToolError::Refused(again)) = second.answer(&LIST, &"b", never()).await else { panic!() };
        assert_eq!(again, refusal);
        assert!(second.unreached().is_none());
    }

    #[tokio::test]
    async fn another_call_other_arguments_and_missing_calls_diverge() {
        let desk = desk(Committed::Durable(2));
        let mut first = journal(vec![], &desk);
        first.answer(&LIST, &"a", async { Ok(Live::answer(7u32)) }).await.unwrap();
        let entries = first.into_record().entries;

        let mut other_call = journal(entries.clone(), &desk);
        let stop = other_call.answer(&SEND, &"a", never()).await;
        assert!(matches!(stop, Err(ToolError::Stop(Stop::Diverged { call: 0, .. }))));
        let mut other_arguments = journal(entries.clone(), &desk);
        let stop = other_arguments.answer(&LIST, &"b", never()).await;
        assert!(matches!(stop, Err(ToolError::Stop(Stop::Diverged { call: 0, .. }))));
        assert!(matches!(journal(entries, &desk).unreached(), Some(Stop::Diverged { .. })));
    }

    fn release() -> Change {
        Change::Release { approval: "appr_1".into(), message: "msg_1".into() }
    }

    #[tokio::test]
    async fn an_effect_is_durable_with_everything_before_it_before_the_guest_hears() {
        let desk = desk(Committed::Durable(2));
        let mut journal = journal(vec![], &desk);
        journal.answer(&LIST, &"a", async { Ok(Live::answer(7u32)) }).await.unwrap();
        let otherwise = Refusal::new(Code::ApprovalRequired, "withdrawn");
        journal.answer(&SEND, &"m", async { Ok(Live::effect(1u32, release(), otherwise)) }).await.unwrap();
        let commits = desk.0.lock().unwrap();
        assert_eq!(commits.len(), 1);
        assert_eq!((commits[0].first, commits[0].entries.len(), commits[0].generation), (0, 2, 1));
    }

    #[tokio::test]
    async fn a_withdrawn_effect_is_recorded_as_the_refusal_the_guest_hears() {
        let mut journal = journal(vec![], &desk(Committed::Withdrawn));
        let otherwise = Refusal::new(Code::ApprovalRequired, "withdrawn");
        let live = async { Ok(Live::effect(1u32, release(), otherwise.clone())) };
        let Err(ToolError::Refused(heard)) = journal.answer(&SEND, &"m", live).await else { panic!() };
        assert_eq!(heard, otherwise);
        assert_eq!(journal.into_record().entries[0].answer, Answer::Refused(otherwise));
    }

    #[tokio::test]
    async fn a_run_that_was_cancelled_is_stopped_before_the_guest_hears() {
        let mut journal = journal(vec![], &desk(Committed::Lost));
        let otherwise = Refusal::new(Code::ApprovalRequired, "withdrawn");
        let live = async { Ok(Live::effect(1u32, release(), otherwise)) };
        let stopped = journal.answer(&SEND, &"m", live).await;
        assert!(matches!(stopped, Err(ToolError::Stop(Stop::Lost))));
    }

    #[tokio::test]
    async fn the_clock_of_a_run_stands_at_its_last_answer() {
        let mut journal = journal(vec![], &desk(Committed::Durable(2)));
        let time = journal.time.clone();
        assert_eq!(time.now(), 500);
        journal.answer(&LIST, &"a", async { Ok(Live::answer(7u32)) }).await.unwrap();
        assert_eq!(time.now(), 1_000);
    }

    #[tokio::test]
    async fn calls_are_counted() {
        let entry = Entry {
            call: LIST.name.into(),
            request: "0".into(),
            answer: Answer::Value("0".into()),
            at_ms: 0,
        };
        let mut journal = journal(vec![entry; CALLS_MAX], &desk(Committed::Durable(2)));
        for _ in 0..CALLS_MAX {
            journal.answer(&LIST, &0, never()).await.unwrap();
        }
        let stop = journal.answer(&LIST, &0, never()).await;
        assert!(matches!(stop, Err(ToolError::Stop(Stop::Limit(Code::TooManyCalls)))));
    }
}
