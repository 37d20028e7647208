//! The rooms: what an agent may import, one folder each.
//!
//! A room's `mod.rs` holds its calls and its *view*, which is all it can reach while it answers; `host.rs` is the guest's
//! side of the counter; `rules.rs` is pure; a trait says what a back end must do. To add a tool, add a folder of that
//! shape and its name to the list below.

pub mod approval;
mod bindings;
pub mod messages;

pub use bindings::interpreter::interpreter;
pub use bindings::{Agent, AgentPre, types};

use crate::approval::{Action, Approval, BodyKind, Policy, Version};
use crate::authority::{Authority, Call, Capability, Kind};
use crate::digest::Digest;
use crate::journal::{Fault, Journal, ToolError};
use std::sync::Arc;
use wasmtime::component::Linker;

/// What the rest of the host may know of a room.
#[derive(Debug)]
pub struct Room {
    /// The interface an agent imports, without its version.
    pub import: &'static str,
    /// Its functions.
    pub calls: &'static [Call],
}

/// Whether what a call of this name answers is of somebody's mailbox, as whatever is read with a capability is. So is what no call of
/// today is called.
pub fn reads_of_somebody(call: &str) -> bool {
    let known = ROOMS.iter().flat_map(|room| room.calls).find(|known| known.name == call);
    known.is_none_or(|call| call.kind == Kind::Read && call.capability.is_some())
}

/// On whose behalf a run acts. Part of every action.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Whose host.
    pub tenant: String,
    /// Which user.
    pub user: String,
    /// Which intent.
    pub intent: String,
    /// Which attempt.
    pub run: u32,
    /// SHA-256 of the component.
    pub agent: Digest,
    /// The account mail leaves from.
    pub from: String,
}

impl Identity {
    /// An action of this run that has no content yet.
    pub fn action(&self) -> Action {
        Action {
            version: Version::V2,
            capability: Capability::MessagesSend,
            tenant: self.tenant.clone(),
            user: self.user.clone(),
            intent: self.intent.clone(),
            run: self.run,
            agent: self.agent,
            from: self.from.clone(),
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            subject: String::new(),
            body_kind: BodyKind::Text,
            body: String::new(),
        }
    }
}

/// All that the rooms of one run share. Each sees only what its view picks out.
pub struct Tools {
    /// Who may do what.
    pub authority: Authority,
    /// On whose behalf.
    pub identity: Identity,
    /// What the operator allows.
    pub policy: Arc<Policy>,
    /// Whether mail leaves in the transaction that releases it, as the embedded mailbox's does, rather than by a transport.
    pub leaves_at_once: bool,
    /// What has been answered.
    pub journal: Journal,
    /// What people have decided in this run.
    pub approvals: Vec<Approval>,
    /// Where mail is.
    pub mailbox: Arc<dyn messages::Mailbox>,
}

/// Store data that carries [`Tools`].
pub trait HasTools: Send + 'static {
    /// The tools of this run.
    fn tools(&mut self) -> &mut Tools;
}

macro_rules! rooms {
    ($($room:ident),*) => {
        /// Every tool an agent may import.
        pub const ROOMS: &[Room] = &[$($room::ROOM),*];

        /// Lets agents import every room.
        pub fn link<T: HasTools>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
            $($room::link(linker)?;)*
            Ok(())
        }
    };
}

rooms! { messages, approval }

/// What crosses into the agent: a refusal, or a trap the engine recognises.
fn into_guest(error: ToolError) -> wasmtime::Result<types::ToolError> {
    match error {
        ToolError::Refused(refusal) => Ok(types::ToolError {
            code: refusal.code.name().into(),
            message: refusal.message,
            details: refusal.details.map(|details| details.to_string()),
        }),
        ToolError::Stop(stop) => Err(wasmtime::Error::new(stop)),
        ToolError::Fault(error) => Err(wasmtime::Error::new(Fault(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_import_of_the_world_has_a_room_and_every_function_is_a_known_call() {
        // What the larger world imports besides is no tool.
        let world = include_str!("../../../wit/agent.wit").split("world interpreted-agent").next().unwrap();
        let imports = world.lines().filter_map(|line| line.trim().strip_prefix("import "));
        let imports: Vec<_> = imports.map(|line| line.split('@').next().unwrap()).collect();
        let rooms: Vec<_> = ROOMS.iter().map(|room| room.import).collect();
        assert_eq!(imports, rooms);
        for room in ROOMS {
            let name = room.import.rsplit('/').next().unwrap();
            let path = format!("{}/../wit/deps/{name}/{name}.wit", env!("CARGO_MANIFEST_DIR"));
            let wit = std::fs::read_to_string(path).unwrap();
            let functions = wit.lines().filter_map(|line| line.trim().split_once(": func("));
            let functions: Vec<_> =
                functions.map(|(f, _)| format!("{name}.{}", f.trim_start_matches('%'))).collect();
            let calls: Vec<_> = room.calls.iter().map(|call| call.name).collect();
            assert_eq!(functions, calls);
        }
    }

    #[test]
    fn requests_are_recorded_in_the_form_that_lies_in_journals() {
        // A replay compares them byte for byte: another form would stop every run that waits on some disk.
        let filter = bindings::messages::messages::Filter { from: None, after: None, limit: Some(1) };
        let outgoing = bindings::messages::messages::Outgoing {
            to: vec!["a@b".into()],
            cc: vec![],
            bcc: vec![],
            subject: "s".into(),
            body: "b".into(),
            body_kind: None,
        };
        let ask = bindings::approval::approval::Ask {
            action: "a".into(),
            title: "t".into(),
            description: "d".into(),
            details: None,
        };
        assert_eq!(serde_json::to_string(&filter).unwrap(), r#"{"from":null,"after":null,"limit":1}"#);
        assert_eq!(
            serde_json::to_string(&outgoing).unwrap(),
            r#"{"to":["a@b"],"cc":[],"bcc":[],"subject":"s","body":"b","body_kind":null}"#
        );
        assert_eq!(
            serde_json::to_string(&ask).unwrap(),
            r#"{"action":"a","title":"t","description":"d","details":null}"#
        );
    }

    #[test]
    fn whatever_changes_the_world_needs_a_capability() {
        for call in ROOMS.iter().flat_map(|room| room.calls) {
            assert!(call.kind == Kind::Read || call.capability.is_some(), "{}", call.name);
        }
    }
}
