//! What an operator may set, in one TOML file.

use crate::approval::address;
use crate::approval::policy::Policy;
use crate::refusals::{Code, Problem, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What an operator may set. Everything has a default; unknown keys are errors.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The people this host works for, by name.
    pub users: BTreeMap<String, User>,
    /// Where compiled agents are cached; by default the platform's cache folder.
    pub cache: Option<PathBuf>,
    /// What may leave at all.
    #[serde(skip)]
    pub policy: Policy,
    /// How people hear that something waits for them.
    #[serde(skip)]
    pub notify: Notify,
}

/// How people hear that something waits for them. They are told an id and, where there is one, a link: never what is in a message,
/// and nothing that would decide.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notify {
    /// A program and its arguments, in which `{approval}`, `{intent}` and `{agent}` are filled in; it gets the same as JSON on its standard input.
    pub command: Option<Vec<String>>,
    /// A URL that gets the same JSON by POST.
    pub webhook: Option<String>,
    /// Where a person can look at an approval: a URL with `{approval}` in it.
    pub link: Option<String>,
    /// How long either may take.
    pub timeout: Duration,
}

/// One person.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The account their mail leaves from.
    pub address: String,
    /// How it leaves.
    #[serde(skip)]
    pub way: Way,
}

/// How the mail of a user leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Way {
    /// It stays in the embedded mailbox.
    #[default]
    Embedded,
    /// A submission server takes it, RFC 6409.
    Smtp(Submission),
    /// A program takes it, as `sendmail` does.
    Command(Program),
}

/// A submission server.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// Its name, which its certificate must show.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Who we are to it.
    pub login: Option<Login>,
    /// Certificates to trust beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// How long each step may take.
    pub timeout: Duration,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// From the first byte.
    Tls,
    /// From the STARTTLS command on; a server that does not offer it is refused.
    Starttls,
    /// Not at all: only to this machine itself.
    None,
}

/// A name, and where its password is.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// The name.
    pub username: String,
    /// Where the password is. It is read when it is needed and kept nowhere.
    pub password: Password,
}

/// Where a password is.
#[derive(Clone, Debug, PartialEq)]
pub enum Password {
    /// In an environment variable of this name.
    Env(String),
    /// In a file only its owner can read.
    File(PathBuf),
}

/// A program that takes mail on its standard input and recipients as arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The program and its arguments; `{from}` stands for the sender. `--` and the recipients follow.
    pub command: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID`, naming key and line.
    pub fn load(path: &Path) -> Result<Config> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problem::new(Code::ConfigInvalid, format!("cannot read {}: {error}", path.display()))
        })?;
        Ok(Config::parse(&text).map_err(|problem| Problem {
            message: format!("{}: {}", path.display(), problem.message),
            ..problem
        })?)
    }

    fn parse(text: &str) -> Result<Config, Problem> {
        let invalid = |what: String| Problem::new(Code::ConfigInvalid, what);
        let config: Config = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            invalid(format!("line {line}: {}", error.message()))
        })?;
        for (name, user) in &config.users {
            let line = || text.find(&format!("users.{name}")).map_or(1, |at| line_of(text, at));
            check_user(name).map_err(|problem| invalid(format!("line {}: {}", line(), problem.message)))?;
            if !address::is_valid(&user.address) {
                let what = format!("line {}: users.{name}.address: `{}` is no address", line(), user.address);
                return Err(invalid(what));
            }
        }
        Ok(config)
    }

    /// How the mail of `user` leaves.
    pub fn way(&self, user: &str) -> &Way {
        self.users.get(user).map_or(&Way::Embedded, |user| &user.way)
    }

    /// The account mail of `user` leaves from.
    pub fn address(&self, user: &str) -> String {
        self.users.get(user).map_or_else(|| format!("{user}@localhost"), |user| user.address.clone())
    }
}

/// Whether `name` can be a user's name.
///
/// # Errors
///
/// `CONFIG_INVALID`, saying what a name may be made of.
pub fn check_user(name: &str) -> Result<(), Problem> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 32 || !name.bytes().all(fits) {
        let message = format!("`{}` is no user name", crate::printable::short(name, 32));
        return Err(Problem::new(Code::ConfigInvalid, message)
            .hint("a name has 1 to 32 lower-case letters, digits, `-` and `_`"));
    }
    Ok(())
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_an_entry_has_an_address_at_localhost() {
        let config = Config::parse("[users.ada]\naddress = \"ada@example.com\"\n").unwrap();
        assert_eq!(config.address("ada"), "ada@example.com");
        assert_eq!(config.address("local"), "local@localhost");
    }

    #[test]
    fn errors_name_key_and_line() {
        let error = |text: &str| Config::parse(text).unwrap_err().message;
        assert_eq!(
            error("\n[users.ada]\naddress = \"ada\"\n"),
            "line 2: users.ada.address: `ada` is no address"
        );
        assert!(error("[user.ada]\n").starts_with("line 1: unknown field `user`"));
        assert!(error("[users.ada]\naddress = 1\n").starts_with("line 2:"));
        assert!(error("[users.Ada]\naddress = \"a@b\"\n").contains("no user name"));
    }
}
