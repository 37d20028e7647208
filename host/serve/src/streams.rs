//! Streams of events that are open, counted by whom they are for.

use countersign::refusals::{Code, Problem};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How many streams somebody may have open at a time: one for each page, or each intent that is followed.
pub const STREAMS_MAX: usize = 16;

/// The streams that are open.
#[derive(Default)]
pub struct Streams(Mutex<HashMap<String, usize>>);

/// One stream of somebody, which gives its place back when it ends, however it ends.
pub struct Stream {
    streams: Arc<Streams>,
    whose: String,
}

impl Streams {
    /// Opens one more.
    ///
    /// # Errors
    ///
    /// `RATE_LIMIT_EXCEEDED` beyond [`STREAMS_MAX`].
    pub fn open(self: &Arc<Streams>, whose: String) -> Result<Stream, Problem> {
        let mut open = self.0.lock().expect("no holder panics");
        let count = open.entry(whose.clone()).or_default();
        if *count >= STREAMS_MAX {
            let message = format!("{STREAMS_MAX} streams of events are open already");
            return Err(Problem::new(Code::RateLimitExceeded, message).hint("close some of them"));
        }
        *count += 1;
        Ok(Stream { streams: self.clone(), whose })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().expect("no holder panics");
        if let Some(count) = open.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.whose);
            }
        }
    }
}
