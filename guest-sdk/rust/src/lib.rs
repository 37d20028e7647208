//! Write agents for Countersign in Rust.
//!
//! An agent is one function: it is asked something, may use its tools, and answers with a [`Card`]. [`agent!`] makes a
//! component of it and carries the manifest inside.
//!
//! ```
//! use countersign_sdk::{Card, Context, Error, Filter, Intent, Tools};
//!
//! // In an agent of your own: countersign_sdk::agent!(handle_intent, manifest = "../agent.json");
//!
//! fn handle_intent(intent: Intent, _context: Context, tools: Tools) -> Result<Card, Error> {
//!     match intent.action.as_str() {
//!         "count_unread" => {
//!             let messages = tools.messages.list(Filter::default().limit(100))?;
//!             let unread = messages.iter().filter(|message| message.unread).count();
//!             Ok(Card::result("Unread mail").description(format!("{unread} of {}", messages.len())))
//!         }
//!         _ => Err(intent.unknown_action()),
//!     }
//! }
//! # let _ = handle_intent;
//! ```
//!
//! Nothing leaves without a person: [`Approval::request`] asks, and [`Messages::send`] sends exactly what was approved.
//! Every call may fail with an [`Error`]; one the agent does not catch becomes an error card made of its code and
//! message. A panic stops the run.
//!
//! # Built for a component, compiled anywhere
//!
//! Agents are built for `wasm32-wasip2`. The crate compiles for other targets too, so cards, filters and an agent's own
//! rules can be tested there; only calling a tool needs a host, and panics without one.
//!
//! On `wasm32` the crate installs a `#[global_allocator]`; an agent cannot bring another.

#![deny(missing_docs)]

mod agent;
mod approval;
#[cfg(any(test, all(target_arch = "wasm32", not(target_feature = "atomics"))))]
mod arena;
mod card;
mod error;
mod intent;
#[doc(hidden)]
pub mod manifest;
mod messages;

#[doc(hidden)]
pub use agent::answer;
pub use approval::{Answer, Approval, Request};
pub use card::{Action, Card, Item};
pub use error::{Error, codes};
pub use intent::{Context, Intent};
pub use messages::{BodyKind, Filter, Message, Messages, Outgoing, Sent};
pub use serde_json::{self, Value, json};

/// The contract as `wit-bindgen` writes it, for the rare agent that needs what the typed tools do not say.
///
/// Implement `Guest`; `bindings::export!(MyAgent with_types_in bindings)` and [`manifest!`] then do what [`agent!`]
/// does.
#[allow(missing_docs, reason = "only what the contract documents is documented in what is made from it")]
#[allow(clippy::too_many_arguments, reason = "generated code takes a record as one argument a member")]
pub mod bindings {
    wit_bindgen::generate!({
        world: "agent",
        path: "wit",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "countersign_sdk::bindings",
    });
}

/// The tools an agent may call.
///
/// Every agent is handed all of them; one whose capability the user has not granted answers
/// [`codes::CAPABILITY_DENIED`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Tools {
    /// Read and send mail.
    pub messages: Messages,
    /// Ask a person before acting.
    pub approval: Approval,
}

/// Reads a JSON member of the contract.
///
/// The host promises an object. Absent members, and text that is no JSON, read as `null`, in which every look-up finds
/// nothing: no agent should fail over a member it may not even read.
fn json_member(text: Option<String>) -> Value {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}
