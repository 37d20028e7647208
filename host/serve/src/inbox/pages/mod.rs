//! The pages: pure functions from what is to be seen to HTML.
//!
//! Agents, mail and other people fill them, and all of that is hostile. It reaches a page through [`text`] only, which shows what
//! acts or hides as an escape; `maud` escapes it once more, as HTML. No page holds a script or a style of its own.

pub mod agents;
pub mod approvals;
pub mod audit;
pub mod body;
pub mod cards;
pub mod entrance;
pub mod intents;
pub mod outbox;
pub mod parameters;
pub mod people;
pub mod text;
pub mod wrong;

#[cfg(test)]
mod tests;

use super::seal::Seal;
use countersign::people::{Deed, Person, Role};
use maud::{DOCTYPE, Markup, html};

/// How many waiting approvals are counted; what is more shows as more.
pub const PENDING_COUNTED_MAX: u32 = 99;

/// How much of one JSON value, or of one block beside a message, a page shows, in characters.
const VALUE_CHARS_MAX: usize = 8_000;

/// Who looks at a page.
pub struct Viewer {
    /// Who it is.
    pub person: Person,
    /// How many approvals wait for a decision, counted to one more than [`PENDING_COUNTED_MAX`].
    pub pending: u32,
    /// How many messages have not left, or may not have, and wait for somebody to see to them: counted as far.
    pub undelivered: u32,
    /// The seal of the session.
    pub seal: Seal,
}

impl Viewer {
    /// Whether they may.
    pub fn may(&self, deed: Deed) -> bool {
        self.person.may(deed)
    }

    /// A form that does something: it is sent to `path`, about `digest`, and proves where it comes from.
    pub fn form(&self, path: &str, digest: &str, inside: Markup) -> Markup {
        html! {
            form method="post" action=(path) { (self.proofs(path, digest)) (inside) }
        }
    }

    /// A form of one button.
    pub fn button(&self, path: &str, class: &str, label: &str) -> Markup {
        self.form(path, "", html! { button.(class) type="submit" { (label) } })
    }

    /// What a form to `path` about `digest` must carry.
    pub fn proofs(&self, path: &str, digest: &str) -> Markup {
        html! {
            input type="hidden" name="csrf" value=(self.seal.proof(path, digest));
            @if !digest.is_empty() { input type="hidden" name="digest" value=(digest); }
        }
    }
}

/// The places the menu leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What waits for a decision.
    Approvals,
    /// What was asked of agents.
    Intents,
    /// What is installed.
    Agents,
    /// What was signed.
    Outbox,
    /// The record.
    Audit,
    /// People, tokens, one's password.
    People,
}

impl Place {
    const ALL: [(Place, &str, &str, Deed); 6] = [
        (Place::Approvals, "/approvals", "Approvals", Deed::LookAtOwn),
        (Place::Intents, "/intents", "Intents", Deed::LookAtOwn),
        (Place::Agents, "/agents", "Agents", Deed::LookAtAgents),
        (Place::Outbox, "/outbox", "Outbox", Deed::LookAtOwn),
        (Place::Audit, "/audit", "Audit", Deed::Audit),
        (Place::People, "/people", "People", Deed::LookAtOwn),
    ];
}

/// One page.
pub struct Page {
    /// Its heading, in the host's words.
    pub title: String,
    /// Where it stands in the menu.
    pub place: Option<Place>,
    /// What is on it, below the heading.
    pub main: Markup,
    /// Whether what it shows changes by itself, so that it is worth looking again.
    pub live: bool,
}

impl Page {
    /// A page that stays as it is.
    pub fn new(title: impl Into<String>, place: Option<Place>, main: Markup) -> Page {
        Page { title: title.into(), place, main, live: false }
    }

    /// The whole document, for somebody who is signed in or for anybody.
    pub fn draw(self, viewer: Option<&Viewer>) -> Markup {
        let Page { title, place, main, live } = self;
        let pending = viewer.map_or(0, |viewer| viewer.pending);
        let count = counted(pending);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { @if pending > 0 { "(" (count) ") " } (title) " - Countersign" }
                    link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                    link rel="stylesheet" href="/assets/style.css";
                    script src="/assets/inbox.js" defer {}
                }
                body data-title={ (title) " - Countersign" } data-events=[viewer.map(|_| "/events")] {
                    a.skip href="#main" { "Skip to content" }
                    header {
                        p.brand { a href="/approvals" { "Countersign" } }
                        @if let Some(viewer) = viewer { (menu(viewer, place)) }
                    }
                    main #main tabindex="-1" {
                        h1 { (title) }
                        div #live data-live[live] { (main) }
                    }
                    p #announce.unseen role="status" aria-live="polite" {}
                    footer {
                        p { "Nothing leaves until a person has signed exactly what will leave." }
                    }
                }
            }
        }
    }
}

fn menu(viewer: &Viewer, here: Option<Place>) -> Markup {
    let person = &viewer.person;
    html! {
        nav aria-label="Main" {
            ul {
                @for (place, path, name, _) in Place::ALL.into_iter().filter(|(.., deed)| viewer.may(*deed)) {
                    li {
                        a href=(path) aria-current=[(here == Some(place)).then_some("page")] {
                            (name)
                            @if place == Place::Approvals {
                                " " span #pending.count hidden[viewer.pending == 0] {
                                    span.number { (counted(viewer.pending)) }
                                    span.unseen { " waiting" }
                                }
                            }
                            @if place == Place::Outbox && viewer.undelivered > 0 {
                                " " span #undelivered.count {
                                    span.number { (counted(viewer.undelivered)) }
                                    span.unseen { " not delivered" }
                                }
                            }
                        }
                    }
                }
            }
        }
        div.who {
            p { span.unseen { "Signed in as " } strong { (text::say(&person.name)) } " " span.quiet { (roles(&person.roles)) } }
            (viewer.button("/sign-out", "plain", "Sign out"))
        }
    }
}

pub use countersign::printable::count;

/// A number of waiting approvals, as far as they are counted.
pub fn counted(pending: u32) -> String {
    if pending > PENDING_COUNTED_MAX { format!("{PENDING_COUNTED_MAX}+") } else { pending.to_string() }
}

/// Roles as a list in words.
pub fn roles<'a>(roles: impl IntoIterator<Item = &'a Role>) -> String {
    let names: Vec<_> = roles.into_iter().map(|role| role.name()).collect();
    if names.is_empty() { "no role".into() } else { names.join(", ") }
}

/// A link to the rows that follow, if there are any. `path` has its query, without `before`.
pub fn older(path: &str, next: Option<&str>) -> Markup {
    let joint = if path.contains('?') { '&' } else { '?' };
    html! {
        @if let Some(next) = next {
            nav aria-label="Pages" { p { a.button href={ (path) (joint) "before=" (text::part(next)) } { "Older" } } }
        }
    }
}

/// What a list says that has nothing in it.
pub fn empty(what: &str, then: Markup) -> Markup {
    html! { div.empty { p { (what) } (then) } }
}

/// One line of a list of facts.
pub fn fact(name: &str, value: Markup) -> Markup {
    html! { dt { (name) } dd { (value) } }
}
