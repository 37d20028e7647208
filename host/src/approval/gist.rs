//! A message in a few lines: what stands beside the question whether it may leave, on every door, where the message itself may have
//! scrolled out of sight. Pure. All of the message is hostile; what is told of it is bounded, however long it is.

use super::Action;
use super::body::{self, Rendered};
use super::names::{domain, short_name};
use crate::printable::{count, ends};

/// How many recipients are named; of the others it says how many they are.
pub const GIST_RECIPIENTS_MAX: usize = 3;
/// How much of a recipient is shown, in characters.
const ADDRESS_CHARS_MAX: usize = 56;
/// How much of a subject is shown, in characters at its beginning and at its end.
const SUBJECT_CHARS: (usize, usize) = (48, 32);

/// A message in a few lines. Every text in it can be printed on one line as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gist {
    /// Some of the recipients, those that deserve a look first, each behind the name of its field: `To`, `Cc` or `Bcc`. Of a long
    /// address the end of its domain stays, which says whose it is.
    pub recipients: Vec<(&'static str, String)>,
    /// How many recipients it has beside them.
    pub others: usize,
    /// The subject, without its middle where it is long.
    pub subject: String,
    /// How many lines of text its reader sees.
    pub lines: usize,
    /// How many bytes this text has.
    pub bytes: usize,
}

/// Some recipients of a message, those that deserve a look first, and how many it has beside them; `is_new` says whether its user has never
/// written to an address.
pub fn recipients(action: &Action, is_new: &dyn Fn(&str) -> bool) -> (Vec<(&'static str, String)>, usize) {
    let own = domain(&action.from);
    let fields = [("To", &action.to), ("Cc", &action.cc), ("Bcc", &action.bcc)];
    let mut all: Vec<_> = fields
        .into_iter()
        .flat_map(|(field, list)| list.iter().map(move |address| (field, address)))
        .collect();
    // What is false comes first.
    all.sort_by_key(|(field, address)| (!is_new(address), domain(address) == own, *field != "Bcc"));
    let others = all.len().saturating_sub(GIST_RECIPIENTS_MAX);
    let named = all.into_iter().take(GIST_RECIPIENTS_MAX);
    (named.map(|(field, address)| (field, short_name(address, ADDRESS_CHARS_MAX))).collect(), others)
}

impl Gist {
    /// Of a message; `is_new` says whether its user has never written to an address.
    pub fn of(action: &Action, is_new: &dyn Fn(&str) -> bool) -> Gist {
        let (recipients, others) = recipients(action, is_new);
        let (head, tail) = SUBJECT_CHARS;
        let body = Rendered::of(action).text;
        Gist {
            recipients,
            others,
            subject: body::as_written(&ends(&action.subject, head, tail)),
            lines: body.lines().count(),
            bytes: body.len(),
        }
    }

    /// How many recipients are not named; nothing where all are.
    pub fn others(&self) -> Option<String> {
        (self.others > 0).then(|| count(self.others, "more recipient"))
    }

    /// How long the body is, in words.
    pub fn length(&self) -> String {
        match self.bytes {
            0 => "empty".into(),
            bytes => format!("{}, {}", count(self.lines, "line"), count(bytes, "byte")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::action::tests::{any_action, sample};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn those_who_deserve_a_look_are_named_and_the_others_counted() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let action = Action {
            from: "me@company.com".into(),
            to: list(&["a@company.com", "b@company.com", "old@partner.example"]),
            cc: list(&["new@company.com"]),
            bcc: list(&["thief@evil.example", "c@company.com"]),
            ..sample()
        };
        let gist = Gist::of(&action, &|address| matches!(address, "thief@evil.example" | "new@company.com"));
        let named: Vec<_> =
            gist.recipients.iter().map(|(field, address)| (*field, address.as_str())).collect();
        assert_eq!(
            named,
            [("Bcc", "thief@evil.example"), ("Cc", "new@company.com"), ("To", "old@partner.example")]
        );
        assert_eq!((gist.others, gist.others().as_deref()), (3, Some("3 more recipients")));
        assert_eq!(gist.length(), "1 line, 44 bytes");
    }

    #[test]
    fn a_subject_that_mixes_directions_is_shown_as_it_is_written() {
        let gist = Gist::of(&Action { subject: "Pay א 12 EUR".into(), ..sample() }, &|_| true);
        assert_eq!(gist.subject, "Pay \\u{5d0} 12 EUR");
    }

    #[test]
    fn of_a_long_address_the_end_stays() {
        let long = format!("ceo@company.com.{}.evil.example", ["a"; 100].join("."));
        let gist = Gist::of(&Action { to: vec![long], ..sample() }, &|_| true);
        let (_, shown) = &gist.recipients[0];
        assert!(shown.starts_with("ceo@…") && shown.contains(".evil.example ("), "{shown}");
    }

    proptest! {
        #[test]
        fn whatever_the_message_the_gist_is_short_and_can_be_printed(
            mut action in any_action(),
            to in prop::collection::vec("[a-z]{1,64}@[a-z.]{1,200}", 0..9),
            subject in ".{0,900}",
        ) {
            action.to = to;
            action.subject = subject;
            let gist = Gist::of(&action, &|_| false);
            prop_assert_eq!(gist.recipients.len() + gist.others, action.recipients().count());
            for (text, chars_max) in gist.recipients.iter().map(|(_, text)| (text, 90)).chain([(&gist.subject, 120)]) {
                prop_assert!(text.chars().count() <= chars_max, "{text:?}");
                prop_assert!(!text.contains(char::is_control), "{text:?}");
            }
        }
    }
}
