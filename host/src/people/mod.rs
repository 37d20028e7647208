//! Who is asking: tenants, people, and what a role lets one do.

pub mod password;
pub mod secret;
pub mod throttle;

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The tenant there is from the start, whose users the command line acts for.
pub const TENANT: &str = "main";

/// Whose: one user of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// Whose host it is.
    pub tenant: &'a str,
    /// Whose mail, intents and grants.
    pub user: &'a str,
}

impl Owner<'_> {
    /// Whether what is theirs is looked at.
    pub fn is_in(self, scope: Scope<'_>) -> bool {
        self.tenant == scope.tenant && scope.user.is_none_or(|user| user == self.user)
    }
}

/// Whose things are looked at: those of one user, or of everybody in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Whose host it is.
    pub tenant: &'a str,
    /// One user, or everybody.
    pub user: Option<&'a str>,
}

/// A user of the tenant there is from the start.
impl<'a> From<&'a str> for Owner<'a> {
    fn from(user: &'a str) -> Owner<'a> {
        Owner { tenant: TENANT, user }
    }
}

impl<'a> From<&'a String> for Owner<'a> {
    fn from(user: &'a String) -> Owner<'a> {
        Owner::from(user.as_str())
    }
}

impl<'a> From<Owner<'a>> for Scope<'a> {
    fn from(Owner { tenant, user }: Owner<'a>) -> Scope<'a> {
        Scope { tenant, user: Some(user) }
    }
}

impl<'a> From<&'a str> for Scope<'a> {
    fn from(user: &'a str) -> Scope<'a> {
        Owner::from(user).into()
    }
}

impl<'a> From<&'a String> for Scope<'a> {
    fn from(user: &'a String) -> Scope<'a> {
        Owner::from(user).into()
    }
}

/// What somebody is there for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Installs agents, and says who may sign in.
    Operator,
    /// Decides what leaves.
    Approver,
    /// Gives intents to agents.
    Invoker,
    /// Reads what was decided and what has left.
    Auditor,
    /// Reads the counters of the host, and nothing else: for what watches over it.
    Metrics,
}

impl Role {
    /// Every role there is.
    pub const ALL: [Role; 5] = [Role::Operator, Role::Approver, Role::Invoker, Role::Auditor, Role::Metrics];

    /// The role as written.
    pub fn name(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Approver => "approver",
            Role::Invoker => "invoker",
            Role::Auditor => "auditor",
            Role::Metrics => "metrics",
        }
    }

    /// Reads a role as written.
    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What may be done at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Give an intent to an agent, and pick up, retry or cancel one's own.
    Invoke,
    /// Look at one's own intents, approvals and messages.
    LookAtOwn,
    /// Look at those of everybody in the tenant.
    LookAtAll,
    /// Cancel the intents of others, and have them picked up.
    CancelAny,
    /// Look at the agents that are installed.
    LookAtAgents,
    /// Install and remove agents.
    ManageAgents,
    /// Grant capabilities to an agent on one's own behalf, and take them away.
    Grant,
    /// Take away what others have granted.
    RevokeAny,
    /// Decide, edit and take back approvals; say what becomes of an uncertain message.
    Decide,
    /// Read and verify the audit.
    Audit,
    /// Add people, give them roles, remove them.
    ManagePeople,
    /// Read the counters of the host.
    Measure,
    /// Ask who one is; list, make and end one's own tokens.
    KeepTokens,
}

impl Deed {
    /// Every deed there is.
    pub const ALL: [Deed; 13] = [
        Deed::Invoke,
        Deed::LookAtOwn,
        Deed::LookAtAll,
        Deed::CancelAny,
        Deed::LookAtAgents,
        Deed::ManageAgents,
        Deed::Grant,
        Deed::RevokeAny,
        Deed::Decide,
        Deed::Audit,
        Deed::ManagePeople,
        Deed::Measure,
        Deed::KeepTokens,
    ];

    /// The roles that let one do it: the one table.
    pub fn roles(self) -> &'static [Role] {
        use Role::{Approver, Auditor, Invoker, Metrics, Operator};
        match self {
            Deed::Invoke | Deed::Grant => &[Invoker],
            Deed::LookAtOwn | Deed::LookAtAgents | Deed::KeepTokens => {
                &[Operator, Approver, Invoker, Auditor]
            }
            Deed::LookAtAll => &[Operator, Approver, Auditor],
            Deed::CancelAny | Deed::RevokeAny | Deed::ManageAgents | Deed::ManagePeople => &[Operator],
            Deed::Decide => &[Approver],
            Deed::Audit => &[Operator, Auditor],
            Deed::Measure => &[Operator, Auditor, Metrics],
        }
    }
}

/// Somebody who has shown who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Whose host it is.
    pub tenant: String,
    /// Their name, which is the user they act as.
    pub name: String,
    /// What they are there for, as far as what they showed goes.
    pub roles: BTreeSet<Role>,
    /// How they showed it: `browser`, or the id of a token.
    pub through: String,
}

impl Person {
    /// Whether they may.
    pub fn may(&self, deed: Deed) -> bool {
        deed.roles().iter().any(|role| self.roles.contains(role))
    }

    /// How they stand in records: who, and through what. No name has a slash.
    pub fn by(&self) -> String {
        format!("{}/{}", self.name, self.through)
    }

    /// The user they act as.
    pub fn owner(&self) -> Owner<'_> {
        Owner { tenant: &self.tenant, user: &self.name }
    }

    /// Whose things they may look at.
    pub fn scope(&self) -> Scope<'_> {
        let user = if self.may(Deed::LookAtAll) { None } else { Some(self.name.as_str()) };
        Scope { tenant: &self.tenant, user }
    }
}

/// The roles somebody can give a token: their own, and that of reading the counters, where they may read them.
pub fn givable(roles: &BTreeSet<Role>) -> BTreeSet<Role> {
    let measures = Deed::Measure.roles().iter().any(|role| roles.contains(role));
    roles.iter().copied().chain(measures.then_some(Role::Metrics)).collect()
}

/// The name somebody signs in with: without its tenant, where that is the first.
pub fn in_full(tenant: &str, name: &str) -> String {
    if tenant == TENANT { name.to_owned() } else { format!("{tenant}/{name}") }
}

/// Who did something, and through what, as records have it: a name alone is that of a user of the operating system, at a shell; behind a
/// slash stands what a person at a server showed. No name has a slash. The one place that reads what [`Person::by`] writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The name they sign in with, or of the user of the system.
    pub person: String,
    /// What they showed to be let in.
    pub through: Through,
}

/// Through what somebody did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Through {
    /// The command line, on the folder itself.
    Shell,
    /// A page they were signed in to.
    Browser,
    /// A program that showed their token, of this id.
    Token(String),
    /// Something this host does not know, as written.
    Other(String),
}

impl Actor {
    /// Reads a record. Any text is one: whatever is not known stands as it was written.
    pub fn read(by: &str) -> Actor {
        let (person, through) = match by.split_once('/') {
            None => (by, Through::Shell),
            Some((person, "browser")) => (person, Through::Browser),
            Some((person, token)) if token.starts_with("tok_") => (person, Through::Token(token.into())),
            Some((person, other)) => (person, Through::Other(other.into())),
        };
        Actor { person: person.into(), through }
    }

    /// Who it was, in words. `label` is what their token is called, as long as it is there. Foreign: it says names and labels.
    pub fn told(&self, label: Option<&str>) -> String {
        let person = &self.person;
        match (&self.through, label) {
            (Through::Shell | Through::Browser, _) => person.clone(),
            (Through::Token(id), Some(label)) => {
                format!("a program with {person}'s token \"{label}\" ({id})")
            }
            (Through::Token(id), None) => format!("a program with {person}'s token {id}"),
            (Through::Other(through), _) => format!("{person}, through {through}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_token_is_told_apart_from_the_person() {
        let told = |by: &str| Actor::read(by).told(None);
        assert_eq!(told("root"), "root");
        assert_eq!(told("anna/browser"), "anna");
        assert_eq!(told("anna/tok_1"), "a program with anna's token tok_1");
        assert_eq!(told("anna/rule/7"), "anna, through rule/7");
        let labelled = Actor::read("anna/tok_1").told(Some("nightly"));
        assert_eq!(labelled, "a program with anna's token \"nightly\" (tok_1)");
    }

    #[test]
    fn what_a_person_writes_in_a_record_reads_back() {
        for (through, is) in [("browser", Through::Browser), ("tok_2", Through::Token("tok_2".into()))] {
            let roles = BTreeSet::from([Role::Approver]);
            let person =
                Person { tenant: TENANT.into(), name: "anna".into(), roles, through: through.into() };
            assert_eq!(Actor::read(&person.by()), Actor { person: "anna".into(), through: is });
        }
    }
}
