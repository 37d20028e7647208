//! The terminal a person sits at: how large it is, how much room a letter takes there at most, and what they answer to a question.

use console::Term;
use countersign::printable::clings;
use countersign::refusals::{Code, Problem, Result};
use nix::sys::termios::{FlushArg, tcdrain, tcflush};
use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;

/// How wide a terminal is taken to be where none can be asked, as in a pipe: whoever looks at it later may have a narrow one.
pub const COLUMNS: usize = 60;
/// The narrowest lines that are drawn. Nobody is asked to sign on a terminal that is narrower.
pub const COLUMNS_MIN: usize = 40;
/// The longest answer to a question that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64;

/// How large the terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// In columns of one narrow letter each.
    columns: usize,
    /// In lines, where it can be asked.
    rows: Option<usize>,
}

impl Screen {
    /// The smaller of the terminals behind standard output and standard error. Where output goes elsewhere, a line is no longer
    /// than [`COLUMNS`], whatever the other says.
    pub fn here() -> Screen {
        let sizes = [size(&Term::stdout()), size(&Term::stderr())];
        let known = || sizes.iter().flatten();
        let elsewhere = if sizes[0].is_none() { COLUMNS } else { usize::MAX };
        Screen {
            columns: known().map(|(_, columns)| *columns).min().unwrap_or(COLUMNS).min(elsewhere),
            rows: known().map(|(rows, _)| *rows).min(),
        }
    }

    /// A screen of a known width.
    #[cfg(test)]
    pub fn of(columns: usize) -> Screen {
        Screen { columns, rows: None }
    }

    /// In which column lines are broken.
    pub fn columns(self) -> usize {
        self.columns.max(COLUMNS_MIN)
    }

    /// Whether `lines`, which are broken for this screen, can be seen on it at once.
    ///
    /// # Errors
    ///
    /// `USAGE`, with how large it must be.
    fn shows(self, lines: usize) -> Result<()> {
        let rows = self.rows.unwrap_or(usize::MAX);
        if self.columns >= COLUMNS_MIN && rows >= lines {
            return Ok(());
        }
        let message = "the terminal is too small to show what would be signed";
        let hint = format!(
            "make it at least {COLUMNS_MIN} columns wide and {lines} lines high, or decide with --digest what \
             `countersign approval show` shows"
        );
        Err(Problem::new(Code::Usage, message).hint(hint).into())
    }
}

/// Rows and columns of a terminal; nothing for anything else, and for one that does not know.
fn size(terminal: &Term) -> Option<(usize, usize)> {
    let (rows, columns) = terminal.size_checked()?;
    (rows > 0 && columns > 0).then_some((rows.into(), columns.into()))
}

/// At most how many columns a character takes on any terminal, apart from what stands before it. Terminals do not agree: letters that
/// Unicode calls ambiguous (UAX #11), Cyrillic and accented ones among them, are two columns wide on some; so are many signs that
/// the tables call narrow; and what clings to a letter may get columns of its own. A row that is too short deceives nobody.
pub fn columns_of(c: char) -> usize {
    if matches!(c, ' '..='~') || clings(c) && c < '\u{1100}' { 1 } else { 2 }
}

/// Shows `above`, which is broken for this screen, and a question under it, which says what each key does, and reads the answer to it. Nothing where that is
/// neither a clear yes nor a clear no.
///
/// What was typed before the question stood there is thrown away: it answers something else. Nothing is read beyond the line of
/// the answer, so that nothing of it answers a later question.
///
/// # Errors
///
/// `USAGE` where the screen is too small for it; faults of the terminal.
pub fn ask(screen: Screen, above: &str, question: &str) -> Result<Option<bool>> {
    // The question itself, and the line the answer ends with.
    screen.shows(above.lines().count() + 2)?;
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "{above}").and_then(|()| terminal.flush()).map_err(anyhow::Error::from)?;
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        // Before the question is written, and not behind it: an answer may follow the question at once.
        tcdrain(terminal.as_fd()).map_err(anyhow::Error::from)?;
        tcflush(stdin.as_fd(), FlushArg::TCIFLUSH).map_err(anyhow::Error::from)?;
    }
    let asked = write!(terminal, "{question} ").and_then(|()| terminal.flush());
    asked.map_err(anyhow::Error::from)?;
    // Without the buffer of the library, which may hold what was typed before, and would keep what is behind the answer.
    let line = answer(File::from(stdin.as_fd().try_clone_to_owned().map_err(anyhow::Error::from)?))?;
    Ok(match line.as_deref().map(str::trim).map(str::to_ascii_lowercase).as_deref() {
        Some("y" | "yes") => Some(true),
        Some("n" | "no") => Some(false),
        _ => None,
    })
}

/// One line, without what buffering would read behind it. Nothing where it is too long, or no text.
fn answer(mut keys: File) -> Result<Option<String>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() <= ANSWER_BYTES_MAX {
        match keys.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(anyhow::Error::from(error).into()),
        }
    }
    Ok(String::from_utf8(line).ok().filter(|line| line.len() <= ANSWER_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_terminals_do_not_agree_on_count_as_two() {
        for wide in ['я', 'Ω', 'é', '日', 'Ａ', '👍', '±', '─', '❤', '\u{1b71}', '\u{fe0f}', '\u{200d}']
        {
            assert_eq!(columns_of(wide), 2, "{wide}");
        }
        for narrow in ['a', '~', ' ', '\u{301}', '\u{5b0}'] {
            assert_eq!(columns_of(narrow), 1, "{narrow:?}");
        }
    }

    #[test]
    fn nobody_is_asked_where_the_question_would_not_be_seen_whole() {
        let screen = |columns, rows| Screen { columns, rows: Some(rows) };
        assert!(screen(COLUMNS_MIN, 12).shows(12).is_ok());
        assert!(screen(COLUMNS_MIN - 1, 12).shows(12).is_err());
        assert!(screen(COLUMNS_MIN, 11).shows(12).is_err());
        assert!(Screen::of(COLUMNS).shows(1_000).is_ok(), "a terminal that does not say how high it is");
        assert_eq!(screen(3, 1).columns(), COLUMNS_MIN);
    }
}
