//! Who may do what. The only module that can make a [`Permit`].
//!
//! A *grant* is standing: the user lets this agent, at this digest, use a capability. A *permit* is for one call, and
//! a back end cannot be reached without one. Whether a person agreed to one exact message is another question, which
//! `approval` answers.

mod capability;
mod scope;

pub use capability::{Call, Capability, Kind};
pub use scope::{Pattern, Scopes};

use crate::refusals::{Code, Refusal};
use serde_json::json;
use std::collections::BTreeSet;

/// Proof that one live call was admitted. It cannot be cloned or made elsewhere, and using it up is using it once.
#[derive(Debug)]
pub struct Permit {
    scope: Option<Vec<Pattern>>,
}

impl Permit {
    /// The patterns the call is confined to; `None` where the manifest does not confine it. An empty list confines it
    /// to nothing.
    pub fn scope(&self) -> Option<&[Pattern]> {
        self.scope.as_deref()
    }
}

/// What one agent may do for one user, as it stood when its run was picked up.
#[derive(Clone, Debug, Default)]
pub struct Authority {
    agent: String,
    grants: BTreeSet<Capability>,
    scopes: Scopes,
}

impl Authority {
    /// The authority of the agent called `agent`.
    pub fn new(agent: String, grants: BTreeSet<Capability>, scopes: Scopes) -> Authority {
        Authority { agent, grants, scopes }
    }

    /// Admits one call.
    ///
    /// # Errors
    ///
    /// `CAPABILITY_DENIED` when the user has not granted what the call needs; the details carry the command that
    /// would grant it.
    pub fn admit(&self, call: &Call) -> Result<Permit, Refusal> {
        let Some(capability) = call.capability else { return Ok(Permit { scope: None }) };
        if !self.grants.contains(&capability) {
            let message = format!("User has not granted {capability} capability to this agent.");
            let grant = format!("countersign agent grant {} {capability}", self.agent);
            return Err(Refusal::new(Code::CapabilityDenied, message)
                .with(json!({ "capability": capability, "grant": grant })));
        }
        Ok(Permit { scope: self.scopes.get(&capability).cloned() })
    }
}

/// Refuses addresses outside the permit's scope, naming every one.
pub fn confine<'a>(
    permit: &Permit,
    capability: Capability,
    addresses: impl IntoIterator<Item = &'a str>,
) -> Result<(), Refusal> {
    let Some(scope) = permit.scope() else { return Ok(()) };
    let within = |address: &&str| scope.iter().any(|pattern| pattern.covers(address));
    let outside: Vec<_> = addresses.into_iter().filter(|address| !within(address)).collect();
    if outside.is_empty() {
        return Ok(());
    }
    let message = format!("Outside the scope this agent declares for {capability}: {}.", outside.join(", "));
    Err(Refusal::new(Code::ScopeViolation, message)
        .with(json!({ "capability": capability, "outside": outside })))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: Call =
        Call { name: "messages.send", kind: Kind::Guarded, capability: Some(Capability::MessagesSend) };

    #[test]
    fn nothing_is_admitted_without_its_grant_and_the_denial_says_how_to_grant() {
        let refusal =
            Authority::new("com.x".into(), BTreeSet::new(), Scopes::default()).admit(&SEND).unwrap_err();
        assert_eq!(refusal.code, Code::CapabilityDenied);
        assert_eq!(refusal.message, "User has not granted messages.send capability to this agent.");
        assert_eq!(refusal.details.unwrap()["grant"], "countersign agent grant com.x messages.send");
    }

    #[test]
    fn an_empty_scope_confines_to_nothing_and_no_scope_does_not_confine() {
        let grants = BTreeSet::from([Capability::MessagesSend]);
        let open = Authority::new("a".into(), grants.clone(), Scopes::default()).admit(&SEND).unwrap();
        assert!(confine(&open, Capability::MessagesSend, ["x@y.z"]).is_ok());
        let scopes = Scopes::from([(Capability::MessagesSend, vec![])]);
        let closed = Authority::new("a".into(), grants, scopes).admit(&SEND).unwrap();
        let refusal = confine(&closed, Capability::MessagesSend, ["x@y.z"]).unwrap_err();
        assert_eq!(refusal.code, Code::ScopeViolation);
    }
}
