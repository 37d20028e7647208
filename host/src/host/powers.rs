//! What a component could ever do, and never can.

use super::Host;
use crate::agent::{Manifest, Package};
use crate::authority::Kind;
use crate::people::Owner;
use crate::printable::line;
use crate::refusals::Result;
use crate::tools::ROOMS;
use std::fmt::Write as _;

/// What the component could do if all it declares were granted, and what it cannot do whatever is granted.
pub fn powers(package: &Package, manifest: Option<&Manifest>) -> (Vec<String>, Vec<String>) {
    let (mut could, mut never) = (Vec::new(), Vec::new());
    for room in ROOMS {
        for call in room.calls {
            let imported = package.calls(room.import, &call.function());
            let Some(capability) = call.capability else {
                if imported {
                    could.push(format!("call {}", call.name));
                }
                continue;
            };
            let declared = manifest.is_none_or(|manifest| manifest.capabilities.contains(&capability));
            if !imported || !declared {
                let why =
                    if imported { "it does not declare the capability" } else { "it does not import it" };
                never.push(format!("call {}: {why}", call.name));
                continue;
            }
            let mut text = format!("call {}, once {capability} is granted", call.name);
            if call.kind == Kind::Guarded {
                text += ", for exactly what a person has approved";
            }
            if let Some(scope) = manifest.and_then(|manifest| manifest.scopes.get(&capability)) {
                let patterns: Vec<_> = scope.iter().map(|pattern| line(pattern.as_str())).collect();
                let _ = write!(text, ", confined to {}", patterns.join(", "));
            }
            could.push(text);
        }
    }
    never.push("open a file, a socket or a URL, start a process, or read the environment".into());
    never.push("see the real time or real randomness, or outlive its run".into());
    (could, never)
}

impl Host {
    /// What an installed agent could ever do, and never can: see [`powers`]. Reads the whole component.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`.
    pub fn powers<'a>(&self, owner: impl Into<Owner<'a>>, id: &str) -> Result<(Vec<String>, Vec<String>)> {
        let installed = self.agent(owner, id)?.installed;
        let package = Package::read(self.store.component(installed.digest)?)?;
        Ok(powers(&package, Some(&installed.manifest)))
    }
}
