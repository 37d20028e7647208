//! The scripted agent without a manifest: every scenario brings its own, with scopes and intents.

#[path = "../../script/src/script.rs"]
mod script;
