//! What a page is told while it is open: how many approvals wait, and that something has changed.

use super::Inbox;
use super::gate::{Answer, Session};
use super::pages::{PENDING_COUNTED_MAX, counted};
use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use countersign::desk::Desk;
use countersign::refusals::{Code, Problem};
use futures_util::stream;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// How many streams a session may have open: one for each page.
pub const STREAMS_MAX: usize = 16;
/// How long is waited between two events of a stream, at least.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is looked without a change: other processes write, too.
const POLL: Duration = Duration::from_secs(5);
/// How often a connection on which nothing is told is kept open.
const ALIVE: Duration = Duration::from_secs(15);

/// Gives a stream's place back when it ends, however it ends.
struct Stream {
    streams: Arc<Mutex<HashMap<String, usize>>>,
    whose: String,
}

impl Stream {
    fn open(inbox: &Inbox, whose: &str) -> Option<Stream> {
        let mut open = inbox.streams.lock().expect("no holder panics");
        let count = open.entry(whose.to_owned()).or_default();
        if *count == STREAMS_MAX {
            return None;
        }
        *count += 1;
        Some(Stream { streams: inbox.streams.clone(), whose: whose.to_owned() })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut open = self.streams.lock().expect("no holder panics");
        if let Some(count) = open.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.whose);
            }
        }
    }
}

struct Told {
    inbox: Arc<Inbox>,
    secret: String,
    changes: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    /// What was told last.
    pending: Option<u32>,
    /// The number of changes that were told of.
    seen: u64,
    _stream: Stream,
}

/// The stream of one page. It begins with the number of waiting approvals.
pub async fn events(State(inbox): State<Arc<Inbox>>, session: Session) -> Answer {
    let stream = Stream::open(&inbox, &session.secret).ok_or_else(|| {
        let message = format!("{STREAMS_MAX} pages are being told of changes already");
        Problem::new(Code::RateLimitExceeded, message).hint("close some of them")
    })?;
    let (changes, closing) = (inbox.host.changes(), inbox.closing.clone());
    let seen = *changes.borrow();
    let told = Told {
        inbox,
        secret: session.secret.clone(),
        changes,
        closing,
        pending: None,
        seen,
        _stream: stream,
    };
    let events = stream::unfold(told, |told| async { told.next().await });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

impl Told {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Told)> {
        loop {
            if *self.closing.borrow() {
                return None;
            }
            // Who has been signed out, or removed, is told nothing more.
            let person = self.inbox.host.session(&self.secret).await.ok()?;
            let pending = Desk::new(self.inbox.host.clone(), person).pending(PENDING_COUNTED_MAX + 1).ok()?;
            if self.pending != Some(pending) {
                self.pending = Some(pending);
                return Some((Ok(Event::default().event("pending").data(counted(pending))), self));
            }
            let now = *self.changes.borrow_and_update();
            if now != self.seen {
                self.seen = now;
                tokio::time::sleep(PAUSE).await;
                // An event without data is none.
                return Some((Ok(Event::default().event("change").data("look")), self));
            }
            tokio::select! {
                changed = self.changes.changed() => { changed.ok()?; tokio::time::sleep(PAUSE).await; }
                _ = self.closing.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}
