//! Runs this server drives. They belong to no request: a client that hangs up stops nothing.

use countersign::host::{Host, View};
use countersign::refusals::{Code, Error, Problem, Result};
use countersign::store::Place;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

/// The most runs that are driven or wait for their turn. Whoever gives more work hears `BUSY`.
pub const RUNS_WAITING_MAX: usize = 10_000;

/// The runs that are being driven.
#[derive(Clone)]
pub struct Runs {
    host: Arc<Host>,
    driven: Arc<Mutex<Driven>>,
    /// How many there are, for whoever waits until there are none.
    count: Arc<watch::Sender<usize>>,
}

#[derive(Default)]
struct Driven {
    /// The number of the next.
    next: u64,
    tasks: HashMap<u64, (String, AbortHandle)>,
}

/// One run, driven in the background.
pub struct Run(oneshot::Receiver<Result<View>>);

impl Run {
    /// Waits for it, at most so long. Nothing where it goes on, or was put down because the server ends.
    pub async fn within(self, wait: Duration) -> Option<Result<View>> {
        tokio::time::timeout(wait, self.0).await.ok()?.ok()
    }
}

/// Takes a run off the list when its task ends, however it ends.
struct Entry {
    runs: Runs,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let left = {
            let mut driven = self.runs.lock();
            driven.tasks.remove(&self.number);
            driven.tasks.len()
        };
        self.runs.count.send_replace(left);
    }
}

impl Runs {
    /// None yet.
    pub fn new(host: Arc<Host>) -> Runs {
        Runs { host, driven: Arc::default(), count: Arc::new(watch::channel(0).0) }
    }

    fn lock(&self) -> MutexGuard<'_, Driven> {
        self.driven.lock().expect("no holder panics")
    }

    /// Asks whether there is room for one more. What is on disk already is driven in any case.
    ///
    /// # Errors
    ///
    /// `BUSY` beyond [`RUNS_WAITING_MAX`].
    pub fn admit(&self) -> Result<()> {
        match self.lock().tasks.len() < RUNS_WAITING_MAX {
            true => Ok(()),
            false => Err(Problem::new(Code::Busy, format!("{RUNS_WAITING_MAX} runs wait for their turn"))
                .hint("try again when some of them have ended")
                .into()),
        }
    }

    /// Drives the run of an intent, on behalf of its owner.
    pub fn drive(&self, place: Place) -> Run {
        let host = self.host.clone();
        let intent = place.intent.clone();
        self.start(&intent, async move { host.resume(place.owner(), &place.intent).await })
    }

    /// Drives the runs among these that this server does not drive already.
    pub fn pick_up(&self, places: Vec<Place>) {
        let driven: HashSet<_> = self.lock().tasks.values().map(|(intent, _)| intent.clone()).collect();
        for place in places.into_iter().filter(|place| !driven.contains(&place.intent)) {
            self.drive(place);
        }
    }

    fn start(&self, intent: &str, run: impl Future<Output = Result<View>> + Send + 'static) -> Run {
        let (tell, told) = oneshot::channel();
        let id = intent.to_owned();
        let mut driven = self.lock();
        let number = driven.next;
        driven.next += 1;
        let entry = Entry { runs: self.clone(), number };
        let task = tokio::spawn(async move {
            let _entry = entry;
            let ended = run.await;
            // It is on disk, and is picked up again.
            if let Err(error) = &ended
                && !matches!(error, Error::Refused(Problem { code: Code::ShuttingDown, .. }))
            {
                tracing::warn!(blame = "host", "{id} cannot be driven: {error}");
            }
            // Nobody may be waiting.
            let _ = tell.send(ended);
        });
        driven.tasks.insert(number, (intent.to_owned(), task.abort_handle()));
        self.count.send_replace(driven.tasks.len());
        Run(told)
    }

    /// Waits until none is driven, at most so long, and drops those that are left: they are on disk, and go on at the next start.
    /// Gives how many these are.
    pub async fn end(&self, grace: Duration) -> usize {
        let mut count = self.count.subscribe();
        let _ = tokio::time::timeout(grace, count.wait_for(|count| *count == 0)).await;
        let driven = self.lock();
        driven.tasks.values().for_each(|(_, task)| task.abort());
        driven.tasks.len()
    }
}
