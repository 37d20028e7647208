//! What can be granted, and which call needs what.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Something a user may grant to an agent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Capability {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Capability {
            /// Every capability there is.
            pub const ALL: &[Capability] = &[$(Capability::$variant,)*];

            /// The capability as written in manifests and commands.
            pub fn name(self) -> &'static str {
                match self { $(Capability::$variant => $name,)* }
            }
        }
    };
}

capabilities! {
    /// List incoming messages.
    MessagesRead = "messages.read",
    /// Send messages a person has approved.
    MessagesSend = "messages.send",
    /// List calendar events.
    CalendarRead = "calendar.read",
    /// Create calendar events.
    CalendarWrite = "calendar.write",
    /// Search contacts.
    ContactsRead = "contacts.read",
    /// Read stored documents.
    StorageRead = "storage.read",
    /// Write stored documents.
    StorageWrite = "storage.write",
    /// Fetch from the network.
    NetworkFetch = "network.fetch",
}

impl Capability {
    /// Whether what it is confined to are mail addresses: those of senders, or of recipients.
    pub fn names_addresses(self) -> bool {
        matches!(self, Capability::MessagesRead | Capability::MessagesSend)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Capability {
    type Err = String;

    fn from_str(name: &str) -> Result<Capability, String> {
        Capability::ALL.iter().copied().find(|capability| capability.name() == name).ok_or_else(|| {
            let known: Vec<_> = Capability::ALL.iter().map(|capability| capability.name()).collect();
            format!("`{name}` is not a capability; there are {}", known.join(", "))
        })
    }
}

/// What a call does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Nothing: it may run ahead of a person's answer.
    Read,
    /// Something a grant is enough for.
    Effect,
    /// Something that needs a person's approval of exactly it.
    Guarded,
}

/// One function an agent may import.
#[derive(Debug, PartialEq, Eq)]
pub struct Call {
    /// As written in journals and documents, `messages.send`.
    pub name: &'static str,
    /// What it does to the world.
    pub kind: Kind,
    /// What must be granted before it is admitted.
    pub capability: Option<Capability>,
}

impl Call {
    /// The name of the function in WIT: `list-events` where the call is `calendar.listEvents`.
    pub fn function(&self) -> String {
        let name = self.name.split_once('.').map_or(self.name, |(_, name)| name);
        let letters = name.chars().flat_map(|letter| {
            letter.is_ascii_uppercase().then_some('-').into_iter().chain([letter.to_ascii_lowercase()])
        });
        letters.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_as_wit_has_it() {
        let call = |name| Call { name, kind: Kind::Read, capability: None }.function();
        assert_eq!(call("messages.list"), "list");
        assert_eq!(call("calendar.listEvents"), "list-events");
    }
}
