//! Where the operator wants a second person: whoever asked for a message is not the one who signs it. Pure.

use crate::people::Actor;
use serde::{Deserialize, Serialize};

/// For whose messages a second person is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FourEyes {
    /// Whether it holds for all messages of this host.
    pub everybody: bool,
    /// For those of these.
    pub of: Vec<Whom>,
}

/// Whose messages. Written `tenant:NAME`, `agent:ID` or `account:ADDRESS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whom {
    /// Everybody's in a tenant.
    Tenant(String),
    /// Whatever an agent asks for.
    Agent(String),
    /// What leaves from an account, by its address.
    Account(String),
}

impl Whom {
    /// Reads it as an operator writes it.
    pub fn read(text: &str) -> Option<Whom> {
        let (kind, name) = text.split_once(':').filter(|(_, name)| !name.is_empty())?;
        match kind {
            "tenant" => Some(Whom::Tenant(name.into())),
            "agent" => Some(Whom::Agent(name.into())),
            "account" => Some(Whom::Account(name.to_lowercase())),
            _ => None,
        }
    }
}

impl FourEyes {
    /// Whether nobody needs a second person.
    pub fn is_off(&self) -> bool {
        *self == FourEyes::default()
    }

    /// Whether a second person signs what `agent` asks for in `tenant`, to leave from `account`.
    pub fn holds(&self, tenant: &str, agent: &str, account: &str) -> bool {
        let is_meant = |whom: &Whom| match whom {
            Whom::Tenant(name) => name == tenant,
            Whom::Agent(id) => id == agent,
            Whom::Account(address) => *address == account.to_lowercase(),
        };
        self.everybody || self.of.iter().any(is_meant)
    }

    /// Whether it can hold for anything in a tenant, whatever the agent and the account.
    pub fn may_hold(&self, tenant: &str) -> bool {
        self.everybody || self.of.iter().any(|whom| !matches!(whom, Whom::Tenant(name) if name != tenant))
    }
}

/// Whether whoever decides, `by`, also asked: the intent is on their behalf, or they gave it to the agent, or wrote what leaves in place of
/// the agent's own message. `submitted_by` and `edited_by` are missing for what was before they were recorded. Through what they did
/// either does not count: a person has one pair of eyes.
pub fn asked(by: &str, user: &str, submitted_by: Option<&str>, edited_by: Option<&str>) -> bool {
    let person = Actor::read(by).person;
    let is_theirs = |actor: &str| Actor::read(actor).person == person;
    person == user || submitted_by.is_some_and(is_theirs) || edited_by.is_some_and(is_theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_for_whom_it_is_written() {
        let of = |texts: &[&str]| FourEyes {
            everybody: false,
            of: texts.iter().map(|text| Whom::read(text).unwrap()).collect(),
        };
        let none = of(&[]);
        assert!(none.is_off() && !none.holds("main", "a", "me@x.com") && !none.may_hold("main"));
        let all = FourEyes { everybody: true, of: vec![] };
        assert!(all.holds("main", "a", "me@x.com") && all.may_hold("acme"));
        let tenant = of(&["tenant:acme"]);
        assert!(tenant.holds("acme", "a", "me@x.com") && !tenant.holds("main", "a", "me@x.com"));
        assert!(tenant.may_hold("acme") && !tenant.may_hold("main"));
        let agent = of(&["agent:com.example.pay"]);
        assert!(
            agent.holds("main", "com.example.pay", "me@x.com")
                && !agent.holds("main", "com.example.payer", "")
        );
        let account = of(&["account:Me@x.com"]);
        assert!(account.holds("main", "a", "me@X.com") && !account.holds("main", "a", "you@x.com"));
        for bad in ["", "acme", "tenant:", "person:ada", ":"] {
            assert_eq!(Whom::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn who_asked_is_the_same_person_through_whatever_door() {
        assert!(asked("anna/browser", "anna", None, None));
        assert!(asked("anna/tok_1", "anna", Some("anna/browser"), None));
        assert!(asked("bob/browser", "anna", Some("bob/tok_1"), None));
        assert!(asked("root", "local", Some("root"), None));
        assert!(!asked("bob/browser", "anna", Some("anna/browser"), None));
        assert!(!asked("bob/browser", "anna", None, None));
        // Whoever writes another message asks for that one.
        assert!(asked("bob/browser", "anna", Some("anna/browser"), Some("bob/tok_1")));
        assert!(!asked("bob/browser", "anna", Some("anna/browser"), Some("cid/browser")));
    }
}
