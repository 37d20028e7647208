//! Intents as they run, told by server-sent events.

use super::App;
use super::asked::{At, Named};
use super::problems::Refused;
use crate::streams::Stream;
use crate::view::{Ran, timeline};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use countersign::desk::Desk;
use countersign::intent::Status;
use countersign::people::Person;
use countersign::refusals::Result;
use futures_util::stream;
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How long a stream lasts: whoever reads on connects again, and shows again who they are.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// How often it is looked where this host changes nothing: other processes write, too.
const PAUSE: Duration = Duration::from_secs(2);
/// How long it is not looked again, however much changes.
const REST: Duration = Duration::from_millis(200);
/// How often something is sent so that nobody on the way takes the silence for an end.
const ALIVE: Duration = Duration::from_secs(15);

/// Ends the id of the event that says how an intent ended.
const END: &str = ".end";

/// What of an intent has been told: the id of an event. No two events of an intent have the same one, over however many
/// connections they are told; an event is behind another if its id is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    /// How many calls of the journal.
    calls: usize,
    /// How often how it stands.
    stands: u32,
    /// Whether that was how it ended: nothing is told behind it.
    end: bool,
}

impl Told {
    /// Reads `Last-Event-ID`, which may say anything.
    fn read(id: &str) -> Option<Told> {
        let (rest, end) = id.strip_suffix(END).map_or((id, false), |rest| (rest, true));
        let (calls, stands) = rest.split_once('.')?;
        Some(Told { calls: calls.parse().ok()?, stands: stands.parse().ok()?, end })
    }

    fn id(self) -> String {
        format!("{}.{}{}", self.calls, self.stands, if self.end { END } else { "" })
    }
}

/// A stream of one intent.
struct Follow {
    desk: Desk,
    id: String,
    /// What was told last.
    told: Told,
    /// What was last told of how it stands.
    stands: Option<(Status, Option<String>)>,
    ready: VecDeque<Event>,
    changes: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    until: Instant,
    is_over: bool,
    _stream: Stream,
}

impl Follow {
    /// Looks what is new.
    fn look(&mut self) -> Result<()> {
        // The status first: the journal of what has ended does not grow, so what is told behind the end is nothing.
        let view = self.desk.show(&self.id)?;
        let calls = timeline(self.desk.journal(&self.id)?);
        // A journal is never shorter than it was, but whoever connects again may say anything.
        for call in calls.iter().skip(self.told.calls) {
            self.told.calls = call.number + 1;
            self.tell("call", call)?;
        }
        self.told.calls = self.told.calls.min(calls.len());
        let stands = (view.intent.status, view.pending().map(|pending| pending.approval.id.clone()));
        self.is_over = view.intent.status.is_final();
        if self.stands.as_ref() != Some(&stands) {
            self.stands = Some(stands);
            self.told.stands = self.told.stands.saturating_add(1);
            self.told.end = self.is_over;
            self.tell("status", &Ran::of(&view))?;
        }
        Ok(())
    }

    fn tell(&mut self, kind: &str, what: &impl Serialize) -> Result<()> {
        let event = Event::default().event(kind).id(self.told.id());
        self.ready.push_back(event.json_data(what).map_err(anyhow::Error::from)?);
        Ok(())
    }

    async fn next(mut self) -> Option<(Result<Event, Infallible>, Follow)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            if self.is_over || *self.closing.borrow() || Instant::now() >= self.until {
                return None;
            }
            let _ = timeout(PAUSE, self.changes.changed()).await;
            sleep(REST).await;
            self.changes.mark_unchanged();
            if let Err(error) = self.look() {
                tracing::warn!(blame = "host", "{} can be followed no further: {error}", self.id);
                return None;
            }
        }
    }
}

pub async fn follow(
    State(app): State<Arc<App>>,
    At(desk): At,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let last = headers.get("last-event-id").and_then(|last| Told::read(last.to_str().ok()?));
    let Person { tenant, name, .. } = desk.person();
    // Neither name has a slash.
    let stream = app.streams.open(format!("{tenant}/{name}"))?;
    let mut follow = Follow {
        desk,
        id,
        told: last.unwrap_or_default(),
        stands: None,
        ready: VecDeque::new(),
        changes: app.host.changes(),
        closing: app.closing(),
        until: Instant::now() + LIFE,
        is_over: false,
        _stream: stream,
    };
    if last.is_some_and(|last| last.end) && follow.desk.show(&follow.id)?.intent.status.is_final() {
        // A browser connects again until it hears this.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    follow.look()?;
    let events = stream::unfold(follow, Follow::next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}
