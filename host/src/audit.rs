//! The record of everything that was decided, granted, installed and sent: a chain in which each entry's hash covers the one
//! before. Whoever keeps one hash can tell later whether anything up to it has been altered or taken away. Pure.
//!
//! An entry holds ids, digests and names, and nothing of what is in a message: the chain stays whole when messages are purged.

use crate::approval::{Verdict, outbox};
use crate::authority::Capability;
use crate::clock::{Millis, rfc3339, rfc3339_trimmed};
use crate::digest::{Digest, Encoder};
use crate::people::Role;
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// How an entry is hashed and exported. What is hashed begins with the name of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Times have no zeros at the end of the second. Nothing is written so any more.
    V1,
    /// Times have three decimals.
    V2,
}

impl Format {
    fn domain(self) -> &'static str {
        match self {
            Format::V1 => "countersign/audit/v1",
            Format::V2 => "countersign/audit/v2",
        }
    }

    /// A time as it is hashed and exported.
    pub fn time(self, at_ms: Millis) -> String {
        match self {
            Format::V1 => rfc3339_trimmed(at_ms),
            Format::V2 => rfc3339(at_ms),
        }
    }
}

/// The address a request came from; null where it came by no network.
type From = Option<IpAddr>;

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Something that happened. Its fields are the entry's body.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the fields say who, what and about what, in the words of the glossary")]
pub enum Fact<'a> {
    /// An agent was installed, in place of whatever had its id.
    Install { agent: &'a str, digest: Digest, by: &'a str },
    /// An agent was removed, and all it had been granted.
    Remove { agent: &'a str, by: &'a str },
    /// A user granted capabilities to one build of an agent.
    Grant { agent: &'a str, digest: Digest, capabilities: &'a [Capability], by: &'a str },
    /// A user took capabilities away from an agent.
    Deny { agent: &'a str, capabilities: &'a [Capability], by: &'a str },
    /// What the operator allows has changed.
    Policy { digest: Digest },
    /// A person decided; `digest` names what they were shown.
    Decide { approval: &'a str, verdict: Verdict, digest: Digest, by: &'a str },
    /// A person changed the message they were shown.
    Edit { approval: &'a str, before: Digest, after: Digest, by: &'a str },
    /// A person took their yes back.
    Revoke { approval: &'a str, by: &'a str },
    /// Nobody decided in time, or nobody used it in time.
    Expire { approval: &'a str },
    /// The run ended, or did something else, or may no longer send.
    Cancel { approval: &'a str },
    /// The run sent exactly the message, or came to the send its hold was for.
    Use { approval: &'a str },
    /// The message is about to be handed over, for the nth time.
    Attempt { approval: &'a str, attempt: u32 },
    /// What came of handing it over; `bytes` names what was handed over.
    Deliver { approval: &'a str, state: outbox::State, bytes: Digest },
    /// What a person said of a message that was uncertain.
    Resolve { approval: &'a str, resolution: outbox::Resolution, by: &'a str },
    /// Somebody was given a link to choose a password, and is there from then on.
    Invite { person: &'a str, roles: &'a BTreeSet<Role>, by: &'a str },
    /// Somebody used their link: every browser they were signed in with is signed out.
    Join { person: &'a str, from: From },
    /// Somebody signed in, with a browser at this address.
    SignIn { person: &'a str, from: From },
    /// Somebody tried to sign in, or to change the password, and did not know it; so many tries before have no entry.
    SignInFailed {
        person: &'a str,
        from: From,
        #[serde(skip_serializing_if = "is_zero")]
        unrecorded: u32,
    },
    /// Somebody signed a browser out.
    SignOut { person: &'a str, from: From },
    /// Somebody changed their password: every other browser of theirs is signed out.
    Password { person: &'a str, from: From },
    /// Somebody is there for something else from now on.
    Assign { person: &'a str, roles: &'a BTreeSet<Role>, by: &'a str },
    /// Somebody is gone, with their links, browsers and tokens.
    Dismiss { person: &'a str, by: &'a str },
    /// A token was made for somebody, by themselves.
    Issue { token: &'a str, roles: &'a BTreeSet<Role>, expires: String, by: &'a str },
    /// A token lets nobody in any more.
    Recall { token: &'a str, by: &'a str },
    /// What had ended by then was purged.
    Purge { before: String, intents: usize, by: &'a str },
    /// The host's time was set back to the machine's, and everything that ends with it.
    Clock { from: String, to: String },
    /// A backup was put back, taken at `taken`. What has happened since is not in the chain, and so many messages are uncertain.
    Restore { taken: String, uncertain: usize, by: &'a str },
}

impl Fact<'_> {
    /// The kind of entry it makes.
    pub fn kind(&self) -> &'static str {
        match self {
            Fact::Install { .. } => "install",
            Fact::Remove { .. } => "remove",
            Fact::Grant { .. } => "grant",
            Fact::Deny { .. } => "deny",
            Fact::Policy { .. } => "policy",
            Fact::Decide { .. } => "decide",
            Fact::Edit { .. } => "edit",
            Fact::Revoke { .. } => "revoke",
            Fact::Expire { .. } => "expire",
            Fact::Cancel { .. } => "cancel",
            Fact::Use { .. } => "use",
            Fact::Attempt { .. } => "attempt",
            Fact::Deliver { .. } => "deliver",
            Fact::Resolve { .. } => "resolve",
            Fact::Invite { .. } => "invite",
            Fact::Join { .. } => "join",
            Fact::SignIn { .. } => "sign-in",
            Fact::SignInFailed { .. } => "sign-in-failed",
            Fact::SignOut { .. } => "sign-out",
            Fact::Password { .. } => "password",
            Fact::Assign { .. } => "assign",
            Fact::Dismiss { .. } => "dismiss",
            Fact::Issue { .. } => "issue",
            Fact::Recall { .. } => "recall",
            Fact::Purge { .. } => "purge",
            Fact::Clock { .. } => "clock",
            Fact::Restore { .. } => "restore",
        }
    }
}

/// Whose business a fact is; the operator's alone, where there is no user.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Whose<'a> {
    /// Whose host.
    pub tenant: &'a str,
    /// On whose behalf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
}

/// One entry of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 1.
    pub seq: u64,
    /// When.
    pub at_ms: Millis,
    /// Which kind of fact, such as `decide`.
    pub kind: String,
    /// The fact, as JSON text.
    pub body: String,
    /// Covers all of the above and the hash before.
    pub hash: Digest,
}

/// The hash before the first entry.
pub const START: Digest = Digest([0; 32]);

impl Entry {
    /// The entry behind `previous`.
    pub fn after(previous: Digest, seq: u64, at_ms: Millis, whose: Whose<'_>, fact: &Fact<'_>) -> Entry {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(flatten)]
            whose: Whose<'a>,
            #[serde(flatten)]
            fact: &'a Fact<'a>,
        }
        let body = serde_json::to_string(&Body { whose, fact }).expect("JSON serializes");
        let kind = fact.kind().to_owned();
        let hash = hash(Format::V2, previous, seq, at_ms, &kind, &body);
        Entry { seq, at_ms, kind, body, hash }
    }

    /// The format its hash is right in, behind `previous`; none where it has been altered, or the one before it.
    pub fn format(&self, previous: Digest) -> Option<Format> {
        let Entry { seq, at_ms, kind, body, .. } = self;
        let formats = [Format::V2, Format::V1].into_iter();
        formats.into_iter().find(|format| self.hash == hash(*format, previous, *seq, *at_ms, kind, body))
    }
}

/// SHA-256 over the domain, the hash before, and the number, time, kind and body as they are exported, each behind its length
/// as four bytes, most significant first.
fn hash(format: Format, previous: Digest, seq: u64, at_ms: Millis, kind: &str, body: &str) -> Digest {
    let mut out = Encoder::new(format.domain());
    out.bytes(&previous.0).text(&seq.to_string()).text(&format.time(at_ms)).text(kind).text(body);
    Digest::of(&out.0)
}

/// Follows a chain from its start.
#[derive(Debug)]
pub struct Check {
    /// How many entries are whole.
    pub entries: u64,
    /// The hash of the last whole one.
    pub head: Digest,
    /// The hash somebody kept, until it has been met.
    wanted: Option<Digest>,
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The first entry that is not as it was written.
    pub seq: u64,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Check {
    /// Begins. `wanted` is a hash somebody kept: the chain must hold it.
    pub fn new(wanted: Option<Digest>) -> Check {
        Check { entries: 0, head: START, wanted: wanted.filter(|wanted| *wanted != START) }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    ///
    /// The first entry that is missing or altered.
    pub fn entry(&mut self, entry: &Entry) -> Result<(), Broken> {
        let seq = self.entries + 1;
        if entry.seq != seq {
            return Err(Broken { seq, what: "is missing" });
        }
        if entry.format(self.head).is_none() {
            return Err(Broken { seq, what: "has been altered, or the one before it" });
        }
        (self.entries, self.head) = (seq, entry.hash);
        self.wanted = self.wanted.filter(|wanted| *wanted != self.head);
        Ok(())
    }

    /// Ends.
    ///
    /// # Errors
    ///
    /// Where the chain does not hold the hash that somebody kept: its end has been taken away or written anew.
    pub fn end(&self) -> Result<(), Broken> {
        match self.wanted {
            Some(_) => Err(Broken {
                seq: self.entries + 1,
                what: "or one before it is missing or written anew: no entry has that head",
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chain(length: u64) -> Vec<Entry> {
        let whose = Whose { tenant: "main", user: Some("local") };
        let mut entries: Vec<Entry> = Vec::new();
        for seq in 1..=length {
            let previous = entries.last().map_or(START, |entry| entry.hash);
            let approval = format!("appr_{seq}");
            let fact =
                Fact::Decide { approval: &approval, verdict: Verdict::Approve, digest: START, by: "me" };
            entries.push(Entry::after(previous, seq, seq as Millis, whose, &fact));
        }
        entries
    }

    fn verify(entries: &[Entry], wanted: Option<Digest>) -> Result<u64, Broken> {
        let mut check = Check::new(wanted);
        entries.iter().try_for_each(|entry| check.entry(entry))?;
        check.end().map(|()| check.entries)
    }

    #[test]
    fn an_entry_says_who_decided_what_and_carries_no_message() {
        let entry = &chain(1)[0];
        assert_eq!(
            entry.body,
            format!(
                r#"{{"tenant":"main","user":"local","approval":"appr_1","verdict":"approve","digest":"{START}","by":"me"}}"#
            )
        );
        // Golden, computed apart from this code: a changed hash would break every chain on some disk.
        assert_eq!(
            entry.hash.to_string(),
            "97c6c6b3ac11c4231f06c2534eb057ba76e894dea30f218ff2574447ca90fe74"
        );
    }

    #[test]
    fn entries_of_an_older_version_stay_whole_and_new_ones_follow_them() {
        let whose = Whose { tenant: "main", user: Some("local") };
        let fact = Fact::Expire { approval: "appr_1" };
        // Hundredths and whole seconds are what the two formats write otherwise.
        let old = |previous, seq, at_ms| {
            let entry = Entry::after(previous, seq, at_ms, whose, &fact);
            let hash = hash(Format::V1, previous, seq, at_ms, &entry.kind, &entry.body);
            Entry { hash, ..entry }
        };
        let first = old(START, 1, 20);
        let second = old(first.hash, 2, 1_000);
        let third = Entry::after(second.hash, 3, 1_020, whose, &fact);
        let entries = [first, second, third];
        assert_eq!(verify(&entries, Some(entries[2].hash)), Ok(3));
        let formats = [START, entries[0].hash, entries[1].hash];
        let formats: Vec<_> =
            formats.iter().zip(&entries).map(|(previous, entry)| entry.format(*previous)).collect();
        assert_eq!(formats, [Some(Format::V1), Some(Format::V1), Some(Format::V2)]);
        assert_eq!(Format::V1.time(20), "1970-01-01T00:00:00.02Z");
        assert_eq!(Format::V2.time(20), "1970-01-01T00:00:00.020Z");
        assert_eq!(entries[1].format(START), None);
    }

    #[test]
    fn an_end_that_was_cut_off_is_found_by_the_head_somebody_kept() {
        let entries = chain(5);
        let head = entries[4].hash;
        assert_eq!(verify(&entries, Some(head)), Ok(5));
        assert_eq!(verify(&entries[..4], None), Ok(4));
        assert_eq!(verify(&entries[..4], Some(head)).unwrap_err().seq, 5);
        assert_eq!(verify(&[], Some(head)).unwrap_err().seq, 1);
        assert_eq!(verify(&[], None), Ok(0));
    }

    proptest! {
        #[test]
        fn whatever_is_altered_or_missing_is_found_where_it_is(at in 0..30usize, bit in 0..1_000usize, what in 0..6) {
            let mut entries = chain(30);
            let flip = |text: &mut String| {
                let mut bytes = std::mem::take(text).into_bytes();
                let at = bit % bytes.len();
                bytes[at] ^= 1;
                *text = String::from_utf8(bytes).unwrap();
            };
            match what {
                0 => flip(&mut entries[at].body),
                1 => flip(&mut entries[at].kind),
                2 => entries[at].at_ms += 1 + bit as Millis,
                3 => entries[at].hash.0[bit % 32] ^= 1 << (bit % 8),
                4 => entries[at].seq += 1,
                _ => { entries.remove(at); }
            }
            let last_is_gone = what == 5 && at == 29;
            let broken = verify(&entries, None);
            prop_assert_eq!(broken.map_err(|broken| broken.seq), if last_is_gone { Ok(29) } else { Err(at as u64 + 1) });
        }
    }
}
