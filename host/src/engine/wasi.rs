//! The WASI a guest gets: an exact list of harmless interfaces, all of them deterministic.
//!
//! Guests compiled for `wasm32-wasip2` import some of these whether they use them or not. There are no files, no sockets and
//! no real time: clocks follow the run's record, timers are ready at once and move the run's clock, randomness follows from
//! the run's seed, and output goes to the run's log.

use super::Run;
use super::limits::{LOG_BYTES_MAX, RANDOM_BYTES_MAX};
use crate::clock::Stream;
use crate::journal::RunClock;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, random};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult, subscribe};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// Every interface of WASI 0.2 an agent may import.
pub const ALLOWED: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Links exactly [`ALLOWED`].
pub fn link(linker: &mut Linker<Run>) -> wasmtime::Result<()> {
    struct Io;
    impl HasData for Io {
        type Data<'a> = &'a mut ResourceTable;
    }
    struct Clocks;
    impl HasData for Clocks {
        type Data<'a> = ClockView<'a>;
    }
    fn clock(run: &mut Run) -> ClockView<'_> {
        ClockView { time: &run.time, start: run.start, table: &mut run.table }
    }
    let l = linker;
    cli::environment::add_to_linker::<Run, WasiCli>(l, Run::cli)?;
    cli::exit::add_to_linker::<Run, WasiCli>(l, Run::cli)?;
    cli::stdin::add_to_linker::<Run, WasiCli>(l, Run::cli)?;
    cli::stdout::add_to_linker::<Run, WasiCli>(l, Run::cli)?;
    cli::stderr::add_to_linker::<Run, WasiCli>(l, Run::cli)?;
    cli::terminal_input::add_to_linker::<Run, WasiCli>(l, Run::cli)?;
    cli::terminal_output::add_to_linker::<Run, WasiCli>(l, Run::cli)?;
    cli::terminal_stdin::add_to_linker::<Run, WasiCli>(l, Run::cli)?;
    cli::terminal_stdout::add_to_linker::<Run, WasiCli>(l, Run::cli)?;
    cli::terminal_stderr::add_to_linker::<Run, WasiCli>(l, Run::cli)?;
    clocks::monotonic_clock::add_to_linker::<Run, Clocks>(l, clock)?;
    clocks::wall_clock::add_to_linker::<Run, Clocks>(l, clock)?;
    wasmtime_wasi_io::bindings::wasi::io::error::add_to_linker::<Run, Io>(l, |run| &mut run.table)?;
    wasmtime_wasi_io::bindings::wasi::io::poll::add_to_linker::<Run, Io>(l, |run| &mut run.table)?;
    wasmtime_wasi_io::bindings::wasi::io::streams::add_to_linker::<Run, Io>(l, |run| &mut run.table)?;
    random::random::add_to_linker::<Run, HasSelf<Stream>>(l, |run| &mut run.random)?;
    random::insecure::add_to_linker::<Run, HasSelf<Stream>>(l, |run| &mut run.random)?;
    random::insecure_seed::add_to_linker::<Run, HasSelf<Stream>>(l, |run| &mut run.random)
}

/// Standard streams: input is empty, output goes to the log; no arguments, no environment.
pub fn context(log: &Log) -> WasiCtx {
    WasiCtx::builder()
        .stdout(log.clone())
        .stderr(log.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

impl WasiView for Run {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// All that the clocks can reach.
pub struct ClockView<'a> {
    time: &'a RunClock,
    start: i64,
    table: &'a mut ResourceTable,
}

const NANOS_PER_MILLI: u64 = 1_000_000;

impl clocks::wall_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        let now = self.time.now().max(0) as u64;
        let nanoseconds = (now % 1000) as u32 * NANOS_PER_MILLI as u32;
        Ok(clocks::wall_clock::Datetime { seconds: now / 1000, nanoseconds })
    }

    fn resolution(&mut self) -> wasmtime::Result<clocks::wall_clock::Datetime> {
        Ok(clocks::wall_clock::Datetime { seconds: 0, nanoseconds: NANOS_PER_MILLI as u32 })
    }
}

impl clocks::monotonic_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok((self.time.now() - self.start).max(0) as u64 * NANOS_PER_MILLI)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(NANOS_PER_MILLI)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        // Guest-controlled: an instant that cannot be counted in nanoseconds again is clamped to the last that can.
        let millis = when.div_ceil(NANOS_PER_MILLI).min(u64::MAX / NANOS_PER_MILLI);
        self.time.reach(self.start.saturating_add(millis as i64));
        let ready = self.table.push(Elapsed)?;
        subscribe(self.table, ready)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = clocks::monotonic_clock::Host::now(self)?;
        self.subscribe_instant(now.saturating_add(duration))
    }
}

/// A timer that has run out: waiting costs the run's clock, not the host's.
struct Elapsed;

#[wasmtime_wasi::async_trait]
impl Pollable for Elapsed {
    async fn ready(&mut self) {}
}

/// So many bytes of the run's randomness.
pub fn bytes(stream: &mut Stream, len: u64) -> wasmtime::Result<Vec<u8>> {
    // Guest-controlled: checked before anything is allocated.
    if len > RANDOM_BYTES_MAX {
        wasmtime::bail!("{len} random bytes were asked for; {RANDOM_BYTES_MAX} is the limit");
    }
    let mut bytes = vec![0; len as usize];
    stream.fill(&mut bytes);
    Ok(bytes)
}

impl random::random::Host for Stream {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        bytes(self, len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.number())
    }
}

impl random::insecure::Host for Stream {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        bytes(self, len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.number())
    }
}

impl random::insecure_seed::Host for Stream {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.number(), self.number()))
    }
}

/// When the host stops adding lines of its own, in bytes.
const NOTES_BYTES_MAX: usize = 64 * 1024;

/// What a run prints. A replay prints it again from the start, so it is never appended to what is stored.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    dropped: usize,
    /// Lines of the host's own. They have room of their own, and no line of a guest before them on theirs.
    notes: String,
}

impl Log {
    /// Adds bytes a guest printed, as far as there is room.
    pub fn write(&self, bytes: &[u8]) {
        let mut lines = self.0.lock().expect("no holder panics");
        let room = LOG_BYTES_MAX - lines.bytes.len();
        let kept = bytes.len().min(room);
        lines.bytes.extend(&bytes[..kept]);
        lines.dropped = lines.dropped.saturating_add(bytes.len() - kept);
    }

    /// Adds a line of the host's own.
    pub fn note(&self, line: &str) {
        let mut lines = self.0.lock().expect("no holder panics");
        if lines.notes.len() < NOTES_BYTES_MAX {
            lines.notes += &format!("[countersign] {line}\n");
        }
    }

    /// All that was kept, and how much was not. Hostile text: it is shown through `printable` only.
    pub fn text(&self) -> String {
        let lines = self.0.lock().expect("no holder panics");
        let mut text = String::from_utf8_lossy(&lines.bytes).into_owned();
        if lines.dropped > 0 {
            text += &format!("\n[countersign] {} bytes more were printed and dropped\n", lines.dropped);
        }
        if !text.is_empty() && !text.ends_with('\n') && !lines.notes.is_empty() {
            text.push('\n');
        }
        text + &lines.notes
    }
}

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Log {
    async fn ready(&mut self) {}
}

impl OutputStream for Log {
    fn write(&mut self, bytes: wasmtime_wasi_io::bytes::Bytes) -> StreamResult<()> {
        Log::write(self, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

impl AsyncWrite for Log {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Log::write(&self, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_sleep_neither_overflows_nor_turns_back() {
        use clocks::monotonic_clock::Host as _;
        let (time, mut table) = (RunClock::new(1_736_164_800_000), ResourceTable::new());
        let mut clock = ClockView { time: &time, start: time.now(), table: &mut table };
        let mut before = clock.now().unwrap();
        for sleep in [u64::MAX, 18_446_744_073_709 * NANOS_PER_MILLI, 5 * NANOS_PER_MILLI, u64::MAX] {
            clock.subscribe_duration(sleep).unwrap();
            let now = clock.now().unwrap();
            assert!(now >= before);
            before = now;
        }
    }

    #[test]
    fn a_full_log_has_room_for_what_the_host_adds_on_a_line_of_its_own() {
        let log = Log::default();
        log.write(b"half a line");
        log.note("noted");
        assert_eq!(log.text(), "half a line\n[countersign] noted\n");
        log.write(&vec![b'x'; LOG_BYTES_MAX]);
        assert!(log.text().ends_with("were printed and dropped\n[countersign] noted\n"));
    }

    #[test]
    fn a_log_keeps_what_fits_and_counts_the_rest() {
        let log = Log::default();
        log.write(&vec![b'x'; LOG_BYTES_MAX - 1]);
        log.write(b"yz");
        let text = log.text();
        assert!(text.starts_with('x'));
        assert!(text.contains("xy\n[countersign] 1 bytes more"), "{}", &text[text.len() - 80..]);
    }
}
