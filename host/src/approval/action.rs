//! The canonical action: one struct, one encoding, one digest.

use super::address;
use crate::authority::Capability;
use crate::digest::{Digest, Encoder};
use serde::{Deserialize, Serialize};

/// Begins every encoding: says what the bytes are, and in which version of the format.
const DOMAIN: &str = "countersign/action/v1";

/// How a body is meant to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyKind {
    /// Plain text.
    Text,
    /// HTML in the safe subset.
    Html,
}

/// A message about to leave, with everything that says whose it is.
///
/// Recipient lists are sorted and domains are in lower case, so two actions are equal exactly when their recipients
/// are equal as multisets and everything else is equal byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// What must be granted for it.
    pub capability: Capability,
    /// Whose host.
    pub tenant: String,
    /// On whose behalf.
    pub user: String,
    /// For which intent.
    pub intent: String,
    /// Which attempt to answer the intent, from 1.
    pub run: u32,
    /// SHA-256 of the component that asks.
    #[schemars(with = "String")]
    pub agent: Digest,
    /// The account it leaves from.
    pub from: String,
    /// Recipients everybody sees.
    pub to: Vec<String>,
    /// Further recipients everybody sees.
    pub cc: Vec<String>,
    /// Recipients nobody else sees.
    pub bcc: Vec<String>,
    /// The subject.
    pub subject: String,
    /// How the body is meant to be read.
    pub body_kind: BodyKind,
    /// The body, as the agent wrote it.
    pub body: String,
}

impl Action {
    /// Sorts the recipients and lowers the domains.
    pub fn canonical(mut self) -> Action {
        for list in [&mut self.to, &mut self.cc, &mut self.bcc] {
            list.iter_mut().for_each(|address| *address = address::canonical(address));
            list.sort();
        }
        self.from = address::canonical(&self.from);
        self
    }

    /// Everybody it goes to.
    pub fn recipients(&self) -> impl Iterator<Item = &str> {
        self.to.iter().chain(&self.cc).chain(&self.bcc).map(String::as_str)
    }

    /// What an approval is bound to: every field.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }

    /// The canonical bytes. Every field carries its length, so no two actions share an encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(DOMAIN);
        out.text(&self.tenant).text(&self.user).text(&self.intent).number(self.run).bytes(&self.agent.0);
        self.encode_content(&mut out);
        out.0
    }

    fn encode_content(&self, out: &mut Encoder) {
        let kind = match self.body_kind {
            BodyKind::Text => "text",
            BodyKind::Html => "html",
        };
        out.text(self.capability.name()).text(&self.from);
        out.list(&self.to).list(&self.cc).list(&self.bcc);
        out.text(&self.subject).text(kind).text(&self.body);
    }

    /// Reads canonical bytes back; `None` if they are anything else.
    pub fn decode(bytes: &[u8]) -> Option<Action> {
        let mut input = Decoder(bytes);
        if input.text()? != DOMAIN {
            return None;
        }
        let action = Action {
            tenant: input.text()?,
            user: input.text()?,
            intent: input.text()?,
            run: input.number()?,
            agent: Digest(input.bytes()?.try_into().ok()?),
            capability: input.text()?.parse().ok()?,
            from: input.text()?,
            to: input.list()?,
            cc: input.list()?,
            bcc: input.list()?,
            subject: input.text()?,
            body_kind: match input.text()?.as_str() {
                "text" => BodyKind::Text,
                "html" => BodyKind::Html,
                _ => return None,
            },
            body: input.text()?,
        };
        input.0.is_empty().then_some(action)
    }

    /// The fields in which `other` differs, as named in the contract. Whose it is comes under `identity`.
    pub fn differs(&self, other: &Action) -> Vec<&'static str> {
        let identity = |a: &Action| (a.tenant.clone(), a.user.clone(), a.intent.clone(), a.run, a.agent);
        [
            ("identity", identity(self) != identity(other) || self.capability != other.capability),
            ("from", self.from != other.from),
            ("to", self.to != other.to),
            ("cc", self.cc != other.cc),
            ("bcc", self.bcc != other.bcc),
            ("subject", self.subject != other.subject),
            ("bodyKind", self.body_kind != other.body_kind),
            ("body", self.body != other.body),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }
}

struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    fn number(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*head))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()? as usize;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn list(&mut self) -> Option<Vec<String>> {
        // The count is not trusted with an allocation: a list cannot have more items than there are bytes left.
        let count = self.number()?;
        (0..count).map(|_| self.text()).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn sample() -> Action {
        Action {
            capability: Capability::MessagesSend,
            tenant: "main".into(),
            user: "local".into(),
            intent: "int_1".into(),
            run: 1,
            agent: Digest::of(b"agent"),
            from: "me@example.com".into(),
            to: vec!["team@company.com".into()],
            cc: vec![],
            bcc: vec![],
            subject: "Q4 2024 Report".into(),
            body_kind: BodyKind::Text,
            body: "Attached is the quarterly report for review.".into(),
        }
    }

    #[test]
    fn the_encoding_is_the_one_that_was_published() {
        // Golden, computed apart from this code: a changed digest would orphan every approval waiting on some disk.
        assert_eq!(
            sample().digest().to_string(),
            "1ee536dfb5af4c371156b27468417d2cceb6e0ce1ba9ed154863a31a084b025a"
        );
    }

    #[test]
    fn the_order_of_recipients_and_the_case_of_domains_do_not_count() {
        let mut one = sample();
        one.to = vec!["b@X.com".into(), "a@x.com".into()];
        let mut two = sample();
        two.to = vec!["a@x.com".into(), "b@x.com".into()];
        assert_eq!(one.canonical().digest(), two.canonical().digest());
        let mut local = sample();
        local.to = vec!["A@x.com".into(), "b@x.com".into()];
        let mut twice = sample();
        twice.to = vec!["a@x.com".into(), "b@x.com".into(), "b@x.com".into()];
        let mut two = sample();
        two.to = vec!["a@x.com".into(), "b@x.com".into()];
        assert_ne!(local.canonical().digest(), two.clone().canonical().digest());
        assert_ne!(twice.canonical().digest(), two.canonical().digest());
    }

    fn text() -> impl Strategy<Value = String> {
        // Short texts over few letters make neighbouring fields that could be confused for one another.
        prop_oneof!["[ab\\x00]{0,3}", ".{0,12}"]
    }

    prop_compose! {
        pub fn any_action()(
            texts in prop::array::uniform6(text()),
            lists in prop::array::uniform3(prop::collection::vec(text(), 0..4)),
            run in any::<u32>(), agent in any::<[u8; 32]>(), html in any::<bool>(),
        ) -> Action {
            let [tenant, user, intent, from, subject, body] = texts;
            let [to, cc, bcc] = lists;
            let body_kind = if html { BodyKind::Html } else { BodyKind::Text };
            let capability = Capability::MessagesSend;
            Action { capability, tenant, user, intent, run, agent: Digest(agent), from, to, cc, bcc, subject,
                body_kind, body }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn decoding_gives_back_what_was_encoded(action in any_action()) {
            prop_assert_eq!(Action::decode(&action.encode()), Some(action));
        }

        #[test]
        fn two_actions_share_an_encoding_only_if_they_are_equal(a in any_action(), b in any_action()) {
            prop_assert_eq!(a.encode() == b.encode(), a == b);
            prop_assert_eq!(a.differs(&b).is_empty(), a == b);
        }

        #[test]
        fn no_other_bytes_decode(action in any_action(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let mut bytes = action.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(Action::decode(&bytes), Some(action));
        }
    }
}
