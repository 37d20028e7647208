//! What an operator may set, in one TOML file.

use crate::approval::address;
use crate::refusals::{Code, Problem, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What an operator may set. Everything has a default; unknown keys are errors.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The people this host works for, by name.
    pub users: BTreeMap<String, User>,
    /// Where compiled agents are cached; by default the platform's cache folder.
    pub cache: Option<PathBuf>,
}

/// One person.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The account their mail leaves from.
    pub address: String,
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
