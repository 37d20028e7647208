//! What a guest gets that interprets its agent: the program its component carries, and the run's clock, randomness and log.

use super::Run;
use super::wasi::{self, Log};
use crate::clock::{Millis, Stream};
use crate::journal::RunClock;
use crate::tools::interpreter::{self, Host};
use std::sync::Arc;
use wasmtime::component::{HasData, Linker};

/// The one interface, without its version.
pub const IMPORT: &str = "countersign:interpreter/interpreter";

/// All that this interface can reach.
pub struct View<'a> {
    program: &'a mut Option<Arc<[u8]>>,
    time: &'a RunClock,
    random: &'a mut Stream,
    log: &'a Log,
}

struct Interpreted;

impl HasData for Interpreted {
    type Data<'a> = View<'a>;
}

pub fn link(linker: &mut Linker<Run>) -> wasmtime::Result<()> {
    fn view(run: &mut Run) -> View<'_> {
        View { program: &mut run.program, time: &run.time, random: &mut run.random, log: &run.log }
    }
    interpreter::add_to_linker::<Run, Interpreted>(linker, view)
}

impl Host for View<'_> {
    async fn program(&mut self) -> wasmtime::Result<Vec<u8>> {
        // It may be as long as a component, and copying costs the guest no fuel: once is enough.
        match self.program.take() {
            Some(program) => Ok(program.to_vec()),
            None => wasmtime::bail!("the program was asked for twice"),
        }
    }

    async fn now(&mut self) -> wasmtime::Result<f64> {
        Ok(self.time.now() as f64)
    }

    async fn sleep(&mut self, milliseconds: f64) -> wasmtime::Result<()> {
        // Guest-controlled: what is no number is none at all, and what is too large ends at the last instant there is.
        let milliseconds = milliseconds.max(0.0).ceil() as Millis;
        self.time.reach(self.time.now().saturating_add(milliseconds));
        Ok(())
    }

    async fn random(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        wasi::bytes(self.random, length.into())
    }

    async fn print(&mut self, line: String) -> wasmtime::Result<()> {
        self.log.write(line.as_bytes());
        self.log.write(b"\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::limits::RANDOM_BYTES_MAX;

    #[tokio::test]
    async fn no_sleep_turns_the_clock_back_or_overflows_it() {
        let (time, mut random, log) = (RunClock::new(1_000), Stream::new([0; 32]), Log::default());
        let mut view = View { program: &mut None, time: &time, random: &mut random, log: &log };
        for (sleep, now) in [
            (0.5, 1_001.0),
            (-5.0, 1_001.0),
            (f64::NAN, 1_001.0),
            (f64::NEG_INFINITY, 1_001.0),
            (f64::INFINITY, Millis::MAX as f64),
            (1.0, Millis::MAX as f64),
        ] {
            view.sleep(sleep).await.unwrap();
            assert_eq!(view.now().await.unwrap(), now);
        }
    }

    #[tokio::test]
    async fn the_program_is_given_once() {
        let (time, mut random, log) = (RunClock::new(0), Stream::new([0; 32]), Log::default());
        let mut program = Some(b"program".as_slice().into());
        let mut view = View { program: &mut program, time: &time, random: &mut random, log: &log };
        assert_eq!(view.program().await.unwrap(), b"program");
        assert!(view.program().await.is_err());
    }

    #[tokio::test]
    async fn randomness_is_bounded() {
        let (time, mut random, log) = (RunClock::new(0), Stream::new([0; 32]), Log::default());
        let mut view = View { program: &mut None, time: &time, random: &mut random, log: &log };
        assert_eq!(view.random(16).await.unwrap().len(), 16);
        assert!(view.random(RANDOM_BYTES_MAX as u32 + 1).await.is_err());
    }
}
