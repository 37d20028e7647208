//! The scripted agent, which may list and send all mail.

mod script;

countersign_sdk::manifest!("../agent.json");
