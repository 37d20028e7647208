//! Hands a signed message to a program, as `sendmail` takes it.
//!
//! The program gets the recipients as arguments and the message on its standard input, with the line ends of this system: that
//! is what `sendmail` and everything that has taken its place reads, and makes CRLF of again. Given CRLF, `msmtp` sends the
//! same, but `nullmailer` keeps each CR and adds its own. There is no lone CR and no lone LF in what is sent, so that nothing
//! is lost, and what arrives is what was signed.
//!
//! It reads a file that is finished before it is started, not a pipe: whoever ends while a pipe is being filled ends the message
//! for the program, too, and it would send half of what was signed.
//!
//! Its exit code is all that is known of what it did, see `sysexits.h`. What it prints is hostile: it is read to the end, so
//! that it never has to wait, and little of it is kept.

use super::smtp::{WORDS_CHARS_MAX, check};
use crate::approval::outbox::Outcome;
use crate::config::Program;
use crate::moment::{Moment, reach};
use crate::tools::messages::{Delivering, Parcel, Transport};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;

/// How much of what a program prints is kept, in bytes.
const SAID_BYTES_MAX: usize = 4 * 1024;
/// How long what a program has printed is waited for once it has ended: something it started may hold the pipe open.
const AFTERWORDS_MAX: Duration = Duration::from_millis(500);
/// What a program is told of this one's environment.
const ENVIRONMENT: [&str; 3] = ["PATH", "HOME", "LANG"];
/// The exit codes of `sysexits.h`, in which a program says that it did not take the message.
const REFUSALS: std::ops::RangeInclusive<i32> = 64..=78;
/// EX_TEMPFAIL. For some programs it means that they took the message and will try again.
const TRY_LATER: i32 = 75;

/// A program as a way out for mail.
#[derive(Clone, Debug)]
pub struct Command {
    program: Program,
}

impl Command {
    /// Mail leaves through this program. It is not looked for before there is something to send.
    pub fn new(program: Program) -> Command {
        Command { program }
    }
}

impl Transport for Command {
    fn deliver<'a>(&'a self, parcel: &'a Parcel) -> Delivering<'a> {
        Box::pin(async move {
            let never = |why: String| Outcome::NotSent { why, again: false, rejected: Vec::new() };
            let letter = match check(parcel).and_then(|_| self.lines(&parcel.bytes)) {
                Ok(letter) => letter,
                Err(why) => return never(why),
            };
            let letter = match file(&letter) {
                Ok(letter) => letter,
                Err(error) => return never(format!("the message cannot be held ready: {error}")),
            };
            reach(Moment::AlmostHandedOver);
            let (name, mut child) = match self.spawn(parcel, &letter) {
                Ok(started) => started,
                Err((why, again)) => return Outcome::NotSent { why, again, rejected: Vec::new() },
            };
            reach(Moment::HandedOver);
            let ended = tokio::time::timeout(self.program.timeout, watch(&mut child, letter)).await;
            let uncertain = |why: &str| Outcome::Uncertain { why: format!("{name} {why}") };
            match ended {
                // Dropping the child kills it.
                Err(_) => {
                    uncertain(&format!("was still running after {} ms", self.program.timeout.as_millis()))
                }
                Ok(Err(error)) => uncertain(&format!("could not be waited for: {error}")),
                Ok(Ok(ended)) => ended.outcome(&name, parcel.recipients.len()),
            }
        })
    }
}

impl Command {
    /// The message as the program reads it.
    fn lines(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        // There is no CR but before LF: that was checked.
        let letter: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'\r').collect();
        // `sendmail` takes a dot alone for the end, unless it is told not to: half of a message would leave.
        let is_told = self.program.command.iter().any(|word| word == "-i" || word == "-oi");
        if !is_told && letter.split(|b| *b == b'\n').any(|line| line == b".") {
            return Err("a line of the message is a single dot, where `sendmail` stops reading: \
                        give the command the option -i"
                .into());
        }
        Ok(letter)
    }

    fn spawn(&self, parcel: &Parcel, letter: &File) -> Result<(String, Child), (String, bool)> {
        let mut words = self.program.command.iter().map(|word| word.replace("{from}", &parcel.from));
        let Some(name) = words.next() else { return Err(("the command is empty".into(), false)) };
        let mut command = tokio::process::Command::new(&name);
        // An address may begin with a dash, and is no option.
        command.args(words).arg("--").args(&parcel.recipients);
        command.env_clear();
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        match letter.try_clone().and_then(|letter| command.stdin(letter).spawn()) {
            Ok(child) => Ok((name, child)),
            Err(error) => {
                let stays = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied);
                Err((format!("cannot start {name}: {error}"), !stays))
            }
        }
    }
}

/// How a program ended.
struct Ended {
    status: ExitStatus,
    /// Whether it has read the whole message, as far as that can be told.
    had_all: bool,
    printed: String,
}

impl Ended {
    fn outcome(self, name: &str, recipients: usize) -> Outcome {
        let Ended { status, had_all, printed } = self;
        let why = match printed.is_empty() {
            true => format!("{name} ended with {status}"),
            false => format!("{name} ended with {status}: {printed}"),
        };
        let refuses = status.code().is_some_and(|code| REFUSALS.contains(&code) && code != TRY_LATER);
        match status.code() {
            Some(0) if had_all => Outcome::Sent { said: printed },
            // To several it may have sent some.
            Some(_) if refuses && recipients == 1 => {
                Outcome::NotSent { why, again: false, rejected: Vec::new() }
            }
            _ => Outcome::Uncertain { why },
        }
    }
}

/// The message as a file without a name, to be read from its start. Programs that share it share how far it has been read.
fn file(letter: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("letter", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(letter)?;
    file.rewind()?;
    Ok(file)
}

/// Hears what the program prints, and waits for its end.
async fn watch(child: &mut Child, mut letter: File) -> io::Result<Ended> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut hearing = Box::pin(async { tokio::join!(hear(stdout, &mut out), hear(stderr, &mut err)) });
    let status = tokio::select! {
        status = child.wait() => {
            let _ = tokio::time::timeout(AFTERWORDS_MAX, &mut hearing).await;
            status
        }
        // It has closed both, and may still be at work.
        _ = &mut hearing => child.wait().await,
    };
    drop(hearing);
    let had_all = letter.stream_position()? == letter.metadata()?.len();
    let printed =
        String::from_utf8_lossy(&[err, out].concat()).trim().chars().take(WORDS_CHARS_MAX).collect();
    Ok(Ended { status: status?, had_all, printed })
}

/// Reads to the end and keeps the beginning.
async fn hear(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut part = [0; 1024];
    while let Ok(length @ 1..) = pipe.read(&mut part).await {
        let room = SAID_BYTES_MAX - kept.len();
        kept.extend_from_slice(&part[..length.min(room)]);
    }
}
