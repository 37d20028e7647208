//! What an author ships: a component and its manifest.

pub mod manifest;
pub mod package;
pub mod schema;

pub use manifest::{IntentSpec, Manifest};
pub use package::{Package, Parts};
pub use schema::Schema;

use crate::clock::Millis;
use crate::digest::Digest;

/// An agent as installed.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Its manifest.
    pub manifest: Manifest,
    /// SHA-256 of the stored component.
    pub digest: Digest,
    /// Size of the component.
    pub bytes: u64,
    /// When.
    pub installed_ms: Millis,
    /// By which user of the operating system.
    pub installed_by: String,
}
