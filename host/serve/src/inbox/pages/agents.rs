//! Agents: what is installed, what it could ever do, and what it has been granted.

use super::wrong::alert;
use super::{Page, Place, VALUE_CHARS_MAX, Viewer, count, empty, fact, text};
use crate::view::{Agent, Failure};
use countersign::agent::package::COMPONENT_BYTES_MAX;
use countersign::authority::Capability;
use countersign::people::Deed;
use countersign::refusals::Code;
use maud::{Markup, html};
use serde_json::Value;

/// How much of what an author says a page shows, in characters.
const SAID_CHARS_MAX: usize = 500;

/// Draws the list.
pub fn list(viewer: &Viewer, agents: &[Agent]) -> Page {
    let main = html! {
        @if viewer.may(Deed::ManageAgents) { p { a.button href="/agents/new" { "Install an agent" } } }
        @if agents.is_empty() {
            (empty("No agent is installed.", html! {}))
        } @else {
            ul.rows {
                @for agent in agents {
                    li { div {
                        h2 { a href={ "/agents/" (text::part(&agent.id)) } { (text::brief(&agent.name, 100)) } }
                        p { (text::say(&agent.id)) " " (text::brief(&agent.version, 60)) }
                        p.quiet {
                            @if agent.granted.is_empty() { "You have granted it nothing." } @else { "You have granted it " (names(&agent.granted)) "." }
                        }
                    } }
                }
            }
        }
    };
    Page::new("Agents", Some(Place::Agents), main)
}

fn names(capabilities: &[Capability]) -> String {
    let names: Vec<_> = capabilities.iter().map(|capability| capability.name()).collect();
    names.join(", ")
}

/// One agent.
pub struct One<'a> {
    /// It.
    pub agent: &'a Agent,
    /// What it could do if all it declares were granted.
    pub could: &'a [String],
    /// What it cannot do whatever is granted.
    pub never: &'a [String],
    /// Why what was asked for here did not happen.
    pub failed: Option<(Code, &'a Failure)>,
}

/// Draws it.
pub fn one(viewer: &Viewer, one: &One<'_>) -> Page {
    let agent = one.agent;
    let path = format!("/agents/{}", text::part(&agent.id));
    let main = html! {
        @if let Some((code, failure)) = one.failed { (alert(code, failure)) }
        @for warning in &agent.warnings {
            div.alert { p { strong { "Warning:" } " " (text::say(warning)) "." } }
        }
        p.title { (text::brief(&agent.name, 100)) }
        dl {
            (fact("Id", text::say(&agent.id)))
            (fact("Version", text::brief(&agent.version, 60)))
            (fact("Digest", html! { code.digest { (agent.digest) } }))
            (fact("Size", html! { (agent.bytes) " bytes" }))
            (fact("Installed", html! { (text::time(&agent.installed)) " by " (text::say(&countersign::people::Actor::read(&agent.installed_by).told(None))) }))
        }
        (author(&agent.manifest))
        (lists("could", "It could", one.could))
        (lists("never", "It can never", one.never))
        (grants(viewer, agent, &path))
        (actions(viewer, agent))
        section aria-labelledby="manifest" {
            h2 #manifest { "Manifest" }
            details { summary { "The whole manifest" } (text::json(&agent.manifest, VALUE_CHARS_MAX)) }
        }
        @if viewer.may(Deed::ManageAgents) {
            section aria-labelledby="remove" {
                h2 #remove { "Remove" }
                details {
                    summary { "Remove this agent" }
                    p { "It can be asked nothing any more. What it did stays in the record." }
                    (viewer.button(&format!("{path}/remove"), "no", "Remove"))
                }
            }
        }
    };
    Page::new("Agent", Some(Place::Agents), main)
}

/// What its author says of it, labelled so.
fn author(manifest: &Value) -> Markup {
    let said = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => None,
        other => Some(other.to_string()),
    };
    let mut facts: Vec<_> = [
        ("About", "description"),
        ("Author", "author"),
        ("Homepage", "homepage"),
        ("Source", "repository"),
        ("Licence", "license"),
        ("Icon", "icon"),
    ]
    .into_iter()
    .map(|(name, member)| (name, said(&manifest[member])))
    .collect();
    facts.extend(
        [("Collects", "dataCollection"), ("Retains", "dataRetention"), ("Shares", "dataSharing")]
            .into_iter()
            .map(|(name, member)| (name, said(&manifest["privacy"][member]))),
    );
    html! {
        section.says aria-labelledby="author" {
            h2 #author { "Its author says" }
            dl { @for (name, said) in &facts { @if let Some(said) = said { (fact(name, text::brief(said, SAID_CHARS_MAX))) } } }
        }
    }
}

fn lists(id: &str, head: &str, lines: &[String]) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (head) }
            @if lines.is_empty() { p.quiet { "Nothing." } } @else {
                ul { @for line in lines { li { (text::say(line)) } } }
            }
        }
    }
}

fn grants(viewer: &Viewer, agent: &Agent, path: &str) -> Markup {
    let grants = viewer.may(Deed::Grant);
    html! {
        section aria-labelledby="grants" {
            h2 #grants { "Your grants" }
            @if agent.capabilities.is_empty() { p.quiet { "It asks for no capability." } }
            @if !grants { p.quiet { "Whoever has the role invoker grants, each on their own behalf." } }
            ul.rows {
                @for capability in &agent.capabilities {
                    @let granted = agent.granted.contains(capability);
                    li {
                        div { p { code { (capability) } " " @if granted { span.badge.done { "granted" } } @else { span.badge { "not granted" } } } }
                        @if grants {
                            @let (deed, label, class) = if granted { ("revoke", "Revoke", "no") } else { ("grant", "Grant", "") };
                            (viewer.form(&format!("{path}/{deed}"), "", html! {
                                input type="hidden" name="capability" value=(capability);
                                button.(class) type="submit" { (label) span.unseen { " " (capability) } }
                            }))
                        }
                    }
                }
            }
            @if viewer.may(Deed::RevokeAny) && !agent.capabilities.is_empty() {
                details {
                    summary { "Take away what somebody else granted" }
                    (viewer.form(&format!("{path}/revoke"), "", html! {
                        p.field { label for="user" { "Name" } input #user type="text" name="user" required autocomplete="off"; }
                        p.field {
                            label for="capability" { "Capability" }
                            select #capability name="capability" {
                                @for capability in &agent.capabilities { option value=(capability) { (capability) } }
                            }
                        }
                        button.no type="submit" { "Take away" }
                    }))
                }
            }
        }
    }
}

fn actions(viewer: &Viewer, agent: &Agent) -> Markup {
    let asks = viewer.may(Deed::Invoke);
    let new = format!("/intents/new?agent={}", text::part(&agent.id));
    html! {
        section aria-labelledby="actions" {
            h2 #actions { "What it can be asked" }
            @match &agent.actions {
                None => p { "It lists no actions: whatever it is asked reaches it." },
                Some(actions) => {
                    p.quiet { (count(actions.len(), "action")) "." }
                    ul {
                        @for action in actions {
                            li { @if asks { a href={ (new) "&action=" (text::part(action)) } { (text::brief(action, 100)) } } @else { (text::brief(action, 100)) } }
                        }
                    }
                }
            }
            @if asks { p { a.button href=(new) { "New intent" } } }
        }
    }
}

/// The form that installs an agent.
pub fn new(viewer: &Viewer, failed: Option<(Code, &Failure)>) -> Page {
    let main = html! {
        @if let Some((code, failure)) = failed { (alert(code, failure)) }
        form #install method="post" action="/agents" enctype="multipart/form-data" {
            (viewer.proofs("/agents", ""))
            p.field {
                label for="component" { "Component " span.quiet { "(a .wasm file with its manifest in it, at most " (COMPONENT_BYTES_MAX / 1024 / 1024) " MiB)" } }
                input #component type="file" name="component" accept=".wasm,application/wasm" required;
            }
            p.field {
                label for="manifest" { "Manifest " span.quiet { "(agent.json, where the component has none)" } }
                input #manifest type="file" name="manifest" accept=".json,application/json";
            }
            label.check {
                input type="checkbox" name="keep" value="yes";
                span { "Keep what was granted to the build before" }
            }
            label.check {
                input type="checkbox" name="strict" value="yes";
                span { "Refuse it if it imports a tool without declaring the capability" }
            }
            @if viewer.may(Deed::Grant) {
                fieldset {
                    legend { "Grant at once, on your own behalf" }
                    @for capability in Capability::ALL {
                        label.check { input type="checkbox" name="grant" value=(capability); span { code { (capability) } } }
                    }
                }
            }
            button.yes type="submit" { "Install" }
            p #upload hidden { label for="uploaded" { "Upload" } " " progress #uploaded max="100" value="0" {} " " span {} }
        }
    };
    Page::new("Install an agent", Some(Place::Agents), main)
}
