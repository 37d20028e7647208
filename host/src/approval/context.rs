//! What a message answers: of the mail its run has read, the latest messages from those it would go to, so that whoever signs sees them
//! beside it. Pure. All of it is hostile and bounded, however much the run has read.

use super::Action;
use crate::printable::is_blank;
use serde::Deserialize;
use std::collections::BTreeSet;

/// How many messages are shown.
pub const ANSWERED_MAX: usize = 3;
/// How much of a body is shown, in characters.
pub const BODY_CHARS_MAX: usize = 2_000;
/// How much of any other field is shown, in characters.
pub const FIELD_CHARS_MAX: usize = 300;
/// How much of what a run has read is looked through, in bytes: the latest.
pub const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A message its run has read, as it read it, cut. Foreign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its id in the mailbox.
    pub id: String,
    /// The address it says it is from.
    pub from: String,
    /// When, in RFC 3339, as the mailbox said.
    pub at: String,
    /// Its subject, cut to the limit of fields.
    pub subject: String,
    /// How its body begins.
    pub body: String,
    /// Whether its body, or what the run read of it, goes on.
    pub goes_on: bool,
}

/// A message in an answer of the mailbox, as far as it is needed here.
#[derive(Deserialize)]
struct Read {
    id: String,
    from: String,
    subject: String,
    body: String,
    timestamp: String,
}

/// The messages that come from a recipient of `action`, newest first. `answers` are what the mailbox answered its run, as JSON.
pub fn answered(action: &Action, answers: impl IntoIterator<Item = String>) -> Vec<Received> {
    let recipients: BTreeSet<_> = action.recipients().map(str::to_lowercase).collect();
    let mut seen = BTreeSet::new();
    let mut found: Vec<Read> = Vec::new();
    for json in answers {
        // What an older host wrote down otherwise is not shown.
        let Ok(read) = serde_json::from_str::<Vec<Read>>(&json) else { continue };
        let of_recipient = read.into_iter().filter(|mail| recipients.contains(&mail.from.to_lowercase()));
        found.extend(of_recipient.filter(|mail| seen.insert(mail.id.clone())));
        // The mailbox writes times alike, so that their order is that of their letters.
        found.sort_by(|a, b| b.timestamp.cmp(&a.timestamp));
        found.truncate(ANSWERED_MAX);
    }
    found.into_iter().map(received).collect()
}

fn received(mail: Read) -> Received {
    let field = |text: &str| text.chars().take(FIELD_CHARS_MAX).collect::<String>();
    let end = mail.body.char_indices().nth(BODY_CHARS_MAX).map(|(at, _)| at);
    let body = &mail.body[..end.unwrap_or(mail.body.len())];
    Received {
        id: field(&mail.id),
        from: field(&mail.from),
        at: field(&mail.timestamp),
        subject: field(&mail.subject),
        body: body.trim_end_matches(is_blank).to_owned(),
        goes_on: end.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::action::tests::sample;
    use super::*;
    use serde_json::json;

    fn mail(number: usize, from: &str) -> serde_json::Value {
        json!({
            "id": format!("m{number}"), "from": from, "to": [], "subject": format!("No. {number}"), "body": "Hello.",
            "timestamp": format!("2026-02-0{number}T10:00:00.000Z"), "unread": true, "extras": null
        })
    }

    #[test]
    fn the_latest_three_of_those_it_goes_to_are_shown_once_each() {
        let from = "Team@company.com";
        let first = json!([mail(1, from), mail(5, "stranger@evil.example"), mail(2, from), mail(4, from)]);
        let second = json!([mail(4, from), mail(3, "team@company.com")]);
        let found = answered(&sample(), [first, json!("damaged"), second].map(|answer| answer.to_string()));
        let ids: Vec<_> = found.iter().map(|mail| mail.id.as_str()).collect();
        assert_eq!(ids, ["m4", "m3", "m2"]);
    }

    #[test]
    fn what_is_shown_of_a_message_is_cut_and_says_so() {
        let long = json!([{
            "id": "m1", "from": "team@company.com", "subject": "s".repeat(1_000), "body": "ä".repeat(BODY_CHARS_MAX + 1),
            "timestamp": "2026-02-01T10:00:00.000Z"
        }]);
        let found = answered(&sample(), [long.to_string()]);
        assert_eq!(found[0].body.chars().count(), BODY_CHARS_MAX);
        assert_eq!(found[0].subject.len(), FIELD_CHARS_MAX);
        assert!(found[0].goes_on);
    }
}
