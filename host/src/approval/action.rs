//! The canonical action: one struct, one encoding, one digest.

use super::{address, body};
use crate::authority::Capability;
use crate::digest::{Digest, Encoder};
use serde::{Deserialize, Serialize};

/// How a body is meant to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyKind {
    /// Plain text.
    Text,
    /// HTML in the safe subset.
    Html,
}

/// How an action is encoded, and what its body is. It never changes for an action: what was signed is decoded, shown and delivered as
/// it was signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "u32", try_from = "u32")]
#[schemars(with = "u32")]
pub enum Version {
    /// The body is what the agent wrote. No new action is of this version.
    #[default]
    V1,
    /// The body is canonical: see [`body::canonical`].
    V2,
}

impl Version {
    /// Begins every encoding: says what the bytes are, and in which version of the format.
    const fn domain(self) -> &'static str {
        match self {
            Version::V1 => "countersign/action/v1",
            Version::V2 => "countersign/action/v2",
        }
    }
}

impl From<Version> for u32 {
    fn from(version: Version) -> u32 {
        match version {
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }
}

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(number: u32) -> Result<Version, String> {
        [Version::V1, Version::V2]
            .into_iter()
            .find(|version| u32::from(*version) == number)
            .ok_or_else(|| format!("{number} is no version of an action"))
    }
}

/// A message about to leave, with everything that says whose it is.
///
/// Recipient lists are sorted and domains are in lower case, so two actions are equal exactly when their recipients
/// are equal as multisets and everything else is equal byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// How it is encoded, and what its body is: 2, or 1 where it was asked before there was a 2.
    #[serde(default)]
    pub version: Version,
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
    /// The body as it leaves: of version 2 as the host wrote it, of version 1 as the agent did.
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

    /// As it would be asked today: the newest version, with the canonical body; itself where its body has none.
    pub fn renewed(&self) -> Action {
        match body::canonical(self.body_kind, &self.body) {
            Ok(body) if self.version == Version::V1 => Action { version: Version::V2, body, ..self.clone() },
            _ => self.clone(),
        }
    }

    /// Whether it is the same message as the other, whichever version each is of.
    pub fn is_same(&self, other: &Action) -> bool {
        self == other || self.version != other.version && self.renewed() == other.renewed()
    }

    /// Whether its body is seen in one way. Every one of the newest version is; of an older one may ask for what is shown
    /// to a person in one way and to its reader in another, and then it has to be asked again.
    pub fn has_one_drawing(&self) -> bool {
        self.version != Version::V1 || body::canonical(self.body_kind, &self.body).is_ok()
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
        let mut out = Encoder::new(self.version.domain());
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
        let domain = input.text()?;
        let version = [Version::V1, Version::V2].into_iter().find(|version| version.domain() == domain)?;
        let action = Action {
            version,
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
        if self.version != other.version {
            let (one, other) = (self.renewed(), other.renewed());
            // One that cannot be renewed has a body that nobody can send.
            return if one.version == other.version { one.differs(&other) } else { vec!["body"] };
        }
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
            version: Version::V2,
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
        // Golden, computed apart from this code: a changed digest would orphan every approval waiting on some disk. In Python,
        // with t(x) = struct.pack(">I", len(x)) + x for bytes x, and l(xs) = struct.pack(">I", len(xs)) + b"".join(map(t, xs)),
        // it is the hashlib.sha256 of t(domain) + t(b"main") + t(b"local") + t(b"int_1") + struct.pack(">I", 1)
        // + t(hashlib.sha256(b"agent").digest()) + t(b"messages.send") + t(b"me@example.com") + l([b"team@company.com"])
        // + l([]) + l([]) + t(b"Q4 2024 Report") + t(kind) + t(body).
        let golden = |version: Version, body_kind: BodyKind, body: &str| {
            Action { version, body_kind, body: body.into(), ..sample() }.digest().to_string()
        };
        let text = "Attached is the quarterly report for review.";
        assert_eq!(
            golden(Version::V1, BodyKind::Text, text),
            "1ee536dfb5af4c371156b27468417d2cceb6e0ce1ba9ed154863a31a084b025a"
        );
        assert_eq!(
            golden(Version::V2, BodyKind::Text, text),
            "ef2b958b50b1f4975fa25650d73057af5b350a86f222aedb33004e2992c277f4"
        );
        assert_eq!(
            golden(Version::V2, BodyKind::Html, "<div dir=\"ltr\">\n<p>Pay <s>900</s> 9</p>\n</div>\n"),
            "c839d3b5b217b694488a9b224c3f54beeacf1aac49fae1268a32497ed683e6b6"
        );
    }

    #[test]
    fn a_message_of_an_older_version_is_the_one_that_would_be_asked_today() {
        let old = Action {
            version: Version::V1,
            body_kind: BodyKind::Html,
            body: "<p>Pay\n<strong>900</strong></p>".into(),
            ..sample()
        };
        let new = Action {
            version: Version::V2,
            body: body::canonical(BodyKind::Html, &old.body).unwrap(),
            ..old.clone()
        };
        assert!(old != new && old.is_same(&new) && new.is_same(&old) && old.differs(&new).is_empty());
        assert!(old.has_one_drawing() && old.digest() != new.digest());
        assert_eq!(Action::decode(&old.encode()).as_ref(), Some(&old));
        let other = Action { body: new.body.replace("900", "901"), ..new.clone() };
        assert!(!old.is_same(&other));
        assert_eq!(old.differs(&other), ["body"]);
        // What readers may see in two ways is the same as nothing that can be asked today.
        let swapped = "<table><tbody><tr><td>a<br>b</td><td>c<br>d</td></tr></tbody></table>";
        let swapped = Action { body: swapped.into(), ..old.clone() };
        assert!(!swapped.has_one_drawing() && !swapped.is_same(&new) && swapped.is_same(&swapped));
        assert_eq!(Action::decode(&swapped.encode()), Some(swapped));
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
            run in any::<u32>(), agent in any::<[u8; 32]>(), html in any::<bool>(), is_old in any::<bool>(),
        ) -> Action {
            let version = if is_old { Version::V1 } else { Version::V2 };
            let [tenant, user, intent, from, subject, body] = texts;
            let [to, cc, bcc] = lists;
            let body_kind = if html { BodyKind::Html } else { BodyKind::Text };
            let capability = Capability::MessagesSend;
            Action { version, capability, tenant, user, intent, run, agent: Digest(agent), from, to, cc, bcc, subject,
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
            prop_assert!(a != b || a.differs(&b).is_empty());
            prop_assert_eq!(a.differs(&b).is_empty(), a.is_same(&b));
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
