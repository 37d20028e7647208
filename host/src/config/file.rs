//! The configuration file as written: which keys there are, where each stands, and what its value is.

use crate::printable::short;
use crate::refusals::{Code, Problem};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Every key there is, dotted; `NAME` stands for the name of a user. What is not here is refused, so `OPERATING.md`, which
/// has one row for each, leaves nothing out.
pub const KEYS: &[&str] = &[
    "cache",
    "approval.policy",
    "approval.recipients",
    "approval.html",
    "approval.mixed_directions",
    "approval.hold",
    "approval.pending_hours",
    "approval.pending_per_agent",
    "approval.four_eyes",
    "approval.four_eyes_for",
    "users.NAME.address",
    "users.NAME.send.by",
    "users.NAME.send.host",
    "users.NAME.send.port",
    "users.NAME.send.tls",
    "users.NAME.send.username",
    "users.NAME.send.password_env",
    "users.NAME.send.password_file",
    "users.NAME.send.ca_file",
    "users.NAME.send.command",
    "users.NAME.send.timeout_seconds",
    "users.NAME.send.retry_hours",
    "tenants.NAME.users",
    "notify.command",
    "notify.webhook",
    "notify.link",
    "notify.timeout_seconds",
    "serve.listen",
    "serve.url",
    "serve.tls_cert",
    "serve.tls_key",
    "serve.behind_proxy",
    "serve.runs",
    "serve.requests_per_minute",
    "serve.log",
    "serve.grace_seconds",
];

/// One value, which knows its name and its place.
pub(super) struct Entry<'t> {
    text: &'t str,
    /// Dotted, as messages name it.
    name: String,
    /// Dotted, as [`KEYS`] names it.
    shape: String,
    /// The byte its key, or it itself, begins at.
    at: usize,
    value: DeValue<'t>,
}

/// A table, from which entries are taken until none is left.
pub(super) struct Table<'t> {
    text: &'t str,
    name: String,
    shape: String,
    at: usize,
    entries: DeTable<'t>,
}

/// The whole of a file.
///
/// # Errors
///
/// `CONFIG_INVALID` for what is not TOML. The parser bounds how deep values nest.
pub(super) fn read(text: &str) -> Result<Table<'_>, Problem> {
    let entries = DeTable::parse(text).map_err(|error| {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        let what = format!("line {line}: this is not TOML: {}", short(error.message(), 200));
        Problem::new(Code::ConfigInvalid, what).hint("OPERATING.md shows every key as it is written")
    })?;
    let top = Table { text, name: String::new(), shape: String::new(), at: 0, entries: entries.into_inner() };
    top.known()
}

impl<'t> Table<'t> {
    /// Refuses keys that do not exist, the first in the file first.
    fn known(self) -> Result<Table<'t>, Problem> {
        let is_known = |key: &str| {
            let shape = dotted(&self.shape, key);
            let is_part = |rest: &str| rest.is_empty() || rest.starts_with('.');
            // A quoted key may have a dot in it, and is not the two keys it looks like.
            !key.contains('.') && KEYS.iter().any(|known| known.strip_prefix(&*shape).is_some_and(is_part))
        };
        let unknown = self.entries.keys().filter(|key| !is_known(key.get_ref()));
        let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(self) };
        let (name, at) = (dotted(&self.name, &short(key.get_ref(), 60)), key.span().start);
        if key.get_ref() == "password" {
            return Err(problem(self.text, at, &name, "no password stands in this file")
                .hint("name the place it is in: `password_env` or `password_file`"));
        }
        let prefix = dotted(&self.shape, "");
        let mut keys: Vec<_> = KEYS
            .iter()
            .filter_map(|known| known.strip_prefix(&*prefix))
            .map(|rest| rest.split('.').next().unwrap_or(rest))
            .collect();
        keys.dedup();
        let hint = format!("the keys here are: {}", keys.join(", "));
        Err(problem(self.text, at, &name, "there is no such key").hint(hint))
    }

    /// Takes the value of a key, if it is there.
    pub fn take(&mut self, key: &str) -> Option<Entry<'t>> {
        let value = self.entries.remove(key)?;
        let (name, shape) = (dotted(&self.name, key), dotted(&self.shape, key));
        Some(self.entry(name, shape, value.span().start, value))
    }

    /// Takes a table, if it is there.
    pub fn table(&mut self, key: &str) -> Result<Option<Table<'t>>, Problem> {
        let Some((at, value)) = self.entries.remove_entry(key) else { return Ok(None) };
        let (name, shape) = (dotted(&self.name, key), dotted(&self.shape, key));
        // Users are written alike, whatever tenant they belong to.
        let shape = if shape == "tenants.NAME.users" { "users".into() } else { shape };
        self.entry(name, shape, at.span().start, value).table().map(Some)
    }

    /// The tables in it, whose names the operator chose.
    pub fn named(mut self) -> Result<Vec<(String, Table<'t>)>, Problem> {
        let mut tables = Vec::new();
        for (key, value) in std::mem::take(&mut self.entries) {
            let name = key.get_ref().to_string();
            let (path, shape) = (dotted(&self.name, &short(&name, 32)), dotted(&self.shape, "NAME"));
            tables.push((name, self.entry(path, shape, key.span().start, value).table()?));
        }
        Ok(tables)
    }

    /// Refuses what has not been taken.
    pub fn nothing_else(self, why: &str, instead: &str) -> Result<(), Problem> {
        let first = self.entries.keys().min_by_key(|key| key.span().start);
        first.map_or(Ok(()), |key| {
            let name = dotted(&self.name, key.get_ref());
            Err(problem(self.text, key.span().start, &name, why).hint(instead))
        })
    }

    /// The problem that a key is not there, told at the line the table begins.
    pub fn missing(&self, key: &str, why: &str, instead: impl Into<String>) -> Problem {
        self.without(key, &format!("is missing: {why}"), instead)
    }

    /// The problem with a key that is not there, told at the line the table begins.
    pub fn without(&self, key: &str, what: &str, instead: impl Into<String>) -> Problem {
        problem(self.text, self.at, &dotted(&self.name, key), what).hint(instead)
    }

    /// The problem that the table itself cannot be as it is.
    pub fn wrong(&self, what: &str, instead: impl Into<String>) -> Problem {
        problem(self.text, self.at, &self.name, what).hint(instead)
    }

    fn entry(&self, name: String, shape: String, at: usize, value: Spanned<DeValue<'t>>) -> Entry<'t> {
        Entry { text: self.text, name, shape, at, value: value.into_inner() }
    }
}

impl<'t> Entry<'t> {
    /// What is wrong with the value, and what to write instead. Says nothing of the value itself: it may be a secret.
    pub fn wrong(&self, what: impl AsRef<str>, instead: impl Into<String>) -> Problem {
        problem(self.text, self.at, &self.name, what.as_ref()).hint(instead)
    }

    fn must_be(&self, what: &str, instead: &str) -> Problem {
        self.wrong(format!("must be {what}, and is of type {}", self.value.type_str()), instead)
    }

    fn table(self) -> Result<Table<'t>, Problem> {
        let wrong = self.must_be("a table", "write a header in brackets, and the keys below it");
        let Entry { text, name, shape, at, value } = self;
        let DeValue::Table(entries) = value else { return Err(wrong) };
        let table = Table { text, name, shape, at, entries };
        // The names in these are the operator's.
        if matches!(&*table.shape, "users" | "tenants") { Ok(table) } else { table.known() }
    }

    /// Text with something in it, and nothing that acts on a terminal or a protocol.
    pub fn text(&self) -> Result<String, Problem> {
        let text = self.value.as_str().ok_or_else(|| self.must_be("text", "put it in double quotes"))?;
        if text.is_empty() {
            return Err(self.wrong("is empty", "write a value, or leave the key out"));
        }
        if text.contains(char::is_control) {
            return Err(self.wrong("has a control character in it", "leave it out"));
        }
        Ok(text.to_owned())
    }

    /// One of the names in a list.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, Problem> {
        let text = self.text()?;
        choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            self.wrong(
                format!("`{}` is none of the choices", short(&text, 60)),
                format!("write {}", names.join(" or ")),
            )
        })
    }

    /// `true` or `false`.
    pub fn flag(&self) -> Result<bool, Problem> {
        self.value
            .as_bool()
            .ok_or_else(|| self.must_be("true or false", "write `true` or `false`, without quotes"))
    }

    /// A whole number within bounds.
    pub fn number(&self, bounds: RangeInclusive<u16>) -> Result<u16, Problem> {
        let hint = format!("write a whole number from {} to {}", bounds.start(), bounds.end());
        let number = self.value.as_integer().ok_or_else(|| self.must_be("a whole number", &hint))?;
        u16::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| self.wrong("is out of bounds", hint))
    }

    /// A file, by a path that means the same wherever a command is run.
    pub fn path(&self) -> Result<PathBuf, Problem> {
        let path = PathBuf::from(self.text()?);
        match path.is_absolute() {
            true => Ok(path),
            false => Err(self.wrong("must be an absolute path", "begin it with `/`")),
        }
    }

    /// The values of a list.
    pub fn list(&self) -> Result<Vec<Entry<'t>>, Problem> {
        let values = self
            .value
            .as_array()
            .ok_or_else(|| self.must_be("a list", "put it in brackets, with commas between"))?;
        Ok(values.iter().enumerate().map(|(place, value)| self.element(place, value)).collect())
    }

    fn element(&self, place: usize, value: &Spanned<DeValue<'t>>) -> Entry<'t> {
        Entry {
            text: self.text,
            name: format!("{}[{place}]", self.name),
            shape: self.shape.clone(),
            at: value.span().start,
            value: value.get_ref().clone(),
        }
    }

    /// A program by its absolute path, and its arguments. The search path decides nothing: whoever can set it could
    /// otherwise choose the program.
    pub fn command(&self) -> Result<Vec<String>, Problem> {
        let words = self.list()?;
        let Some((program, arguments)) = words.split_first() else {
            return Err(self.wrong("is empty", "name a program by its absolute path, then its arguments"));
        };
        let path = program.text()?;
        if !Path::new(&path).is_absolute() {
            return Err(
                program.wrong("is no absolute path", "begin it with `/`: no search path is looked at")
            );
        }
        let argument = |entry: &Entry| match entry.value.as_str() {
            Some(text) if !text.contains('\0') => Ok(text.to_owned()),
            Some(_) => Err(entry.wrong("has a NUL character in it", "leave it out")),
            None => Err(entry.must_be("text", "put it in double quotes")),
        };
        std::iter::once(Ok(path)).chain(arguments.iter().map(argument)).collect()
    }
}

/// `table.key`; at the top the key alone.
fn dotted(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

fn problem(text: &str, at: usize, name: &str, what: &str) -> Problem {
    Problem::new(Code::ConfigInvalid, format!("line {}: {name}: {what}", line_of(text, at)))
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
