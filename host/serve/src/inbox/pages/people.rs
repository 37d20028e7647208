//! People, their roles, tokens, and one's own password.

use super::wrong::alert;
use super::{Page, Place, Viewer, empty, roles, text};
use crate::view::Failure;
use countersign::people::password::PASSWORD_BYTES_MIN;
use countersign::people::secret::{LABEL_CHARS_MAX, TOKEN_DAYS_MAX};
use countersign::people::{Actor, Deed, Role, givable};
use countersign::refusals::Code;
use maud::{Markup, html};

/// Somebody who may sign in.
pub struct PersonRow {
    /// Their name.
    pub name: String,
    /// What they are there for.
    pub roles: Vec<Role>,
    /// Whether they have chosen a password.
    pub joined: bool,
    /// When they were added.
    pub added: String,
    /// By whom.
    pub added_by: String,
}

/// A token.
pub struct TokenRow {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// What its owner calls it.
    pub label: String,
    /// What it may be used for.
    pub roles: Vec<Role>,
    /// When it ends.
    pub expires: String,
    /// When it was last used.
    pub used: Option<String>,
}

/// Something that is shown once.
pub enum Secret<'a> {
    /// A link for somebody to choose a password.
    Link {
        /// For whom.
        name: &'a str,
        /// The whole link.
        link: &'a str,
        /// When it ends.
        expires: &'a str,
    },
    /// A token.
    Token(&'a str),
}

/// The page.
pub struct People<'a> {
    /// Everybody, for an operator.
    pub people: Option<&'a [PersonRow]>,
    /// One's own tokens, and for an operator those of others.
    pub tokens: &'a [TokenRow],
    /// What was just made.
    pub secret: Option<Secret<'a>>,
    /// What was just done, in the host's words.
    pub done: Option<&'a str>,
    /// Why what was asked for here did not happen.
    pub failed: Option<(Code, &'a Failure)>,
}

/// Draws it.
pub fn people(viewer: &Viewer, page: &People<'_>) -> Page {
    let main = html! {
        @if let Some((code, failure)) = page.failed { (alert(code, failure)) }
        @if let Some(done) = page.done { div.standing.done role="status" { p { (done) } } }
        @if let Some(secret) = &page.secret { (shown_once(secret)) }
        @if let Some(people) = page.people { (everybody(viewer, people)) }
        (tokens(viewer, page.tokens))
        section aria-labelledby="password" {
            h2 #password { "Your password" }
            p { "Changing it ends your other sessions." }
            (viewer.form("/password", "", html! {
                // Tells a password manager whose it is.
                input type="hidden" name="username" autocomplete="username" value=(viewer.person.name);
                p.field { label for="old" { "Present password" } input #old type="password" name="old" autocomplete="current-password" required; }
                (choice_of_password())
                button type="submit" { "Change password" }
            }))
        }
    };
    Page::new("People", Some(Place::People), main)
}

/// The two fields in which a new password is typed.
pub fn choice_of_password() -> Markup {
    html! {
        p.field {
            label for="new" { "New password " span.quiet { "(at least " (PASSWORD_BYTES_MIN) " characters)" } }
            input #new type="password" name="password" autocomplete="new-password" minlength=(PASSWORD_BYTES_MIN) required;
        }
        p.field {
            label for="again" { "New password again" }
            input #again type="password" name="again" autocomplete="new-password" minlength=(PASSWORD_BYTES_MIN) required;
        }
    }
}

fn shown_once(secret: &Secret<'_>) -> Markup {
    html! {
        section.once aria-labelledby="once" {
            @match secret {
                Secret::Link { name, link, expires } => {
                    h2 #once { "A link for " (text::say(name)) }
                    p { "Give it to them over a way you trust. It is shown only now, works once, and ends " (text::time(expires)) "." }
                    p.field { label for="secret" { "Link" } input #secret type="text" readonly value=(link); }
                }
                Secret::Token(token) => {
                    h2 #once { "Your new token" }
                    p { "Copy it now: it is not shown again." }
                    p.field { label for="secret" { "Token" } input #secret type="text" readonly value=(token); }
                }
            }
        }
    }
}

fn everybody(viewer: &Viewer, people: &[PersonRow]) -> Markup {
    html! {
        section aria-labelledby="people" {
            h2 #people { "Who may sign in" }
            ul.rows {
                @for (number, person) in people.iter().enumerate() {
                    @let path = format!("/people/{}", text::part(&person.name));
                    li { div {
                        h3 { (text::say(&person.name)) }
                        p { (roles(&person.roles)) @if !person.joined { " " span.badge { "has not chosen a password yet" } } }
                        p.quiet { "Added " (text::time(&person.added)) " by " (text::say(&Actor::read(&person.added_by).told(None))) "." }
                        details id={ "change-" (number) } {
                            summary { "Change" span.unseen { " " (text::say(&person.name)) } }
                            (viewer.form(&format!("{path}/roles"), "", html! {
                                (choice_of_roles("Roles", &person.roles, &Role::ALL))
                                button type="submit" { "Save roles" }
                            }))
                            p { "A new link lets them choose a new password, and ends their sessions when they do." }
                            (viewer.button(&format!("{path}/invite"), "", "New link"))
                            p { "Who is removed is signed out at once. Their intents and mail stay." }
                            (viewer.button(&format!("{path}/remove"), "no", "Remove"))
                        }
                    } }
                }
            }
            h3 #invite { "Invite somebody" }
            (viewer.form("/people", "", html! {
                p.field {
                    label for="name" { "Name " span.quiet { "(lower-case letters, digits, - and _)" } }
                    input #name type="text" name="name" maxlength="32" required autocomplete="off" autocapitalize="none" spellcheck="false";
                }
                (choice_of_roles("Their roles", &[], &Role::ALL))
                button type="submit" { "Invite" }
            }))
        }
    }
}

fn choice_of_roles(legend: &str, chosen: &[Role], all: &[Role]) -> Markup {
    html! {
        fieldset {
            legend { (legend) }
            @for role in all {
                label.check {
                    input type="checkbox" name="role" value=(role) checked[chosen.contains(role)];
                    span { (role) span.quiet { ": " (purpose(*role)) } }
                }
            }
        }
    }
}

fn purpose(role: Role) -> &'static str {
    match role {
        Role::Operator => "installs agents, and says who may sign in",
        Role::Approver => "decides what leaves",
        Role::Invoker => "gives intents to agents",
        Role::Auditor => "reads what was decided and what has left",
        Role::Metrics => "reads the counters of the server, and nothing else",
    }
}

fn tokens(viewer: &Viewer, tokens: &[TokenRow]) -> Markup {
    let roles: Vec<_> = givable(&viewer.person.roles).into_iter().collect();
    // A program signs only where that is said, and counts only where that is what it is for.
    let special = [Role::Approver, Role::Metrics];
    let chosen: Vec<_> = roles.iter().copied().filter(|role| !special.contains(role)).collect();
    let (own, others): (Vec<_>, Vec<_>) = tokens.iter().partition(|token| token.name == viewer.person.name);
    html! {
        section aria-labelledby="tokens" {
            h2 #tokens { "Your tokens" }
            p { "A token lets a program act as you, as far as its roles go." }
            @if own.is_empty() { (empty("You have no token.", html! {})) } @else {
                ul.rows { @for token in own { li { (one_token(viewer, token)) } } }
            }
            h3 { "Make a token" }
            (viewer.form("/tokens", "", html! {
                p.field { label for="label" { "Label" } input #label type="text" name="label" maxlength=(LABEL_CHARS_MAX) required autocomplete="off"; }
                p.field {
                    label for="days" { "Days until it ends" }
                    input #days type="number" name="days" min="1" max=(TOKEN_DAYS_MAX) value="30" required;
                }
                (choice_of_roles("Its roles", &chosen, &roles))
                @if roles.contains(&Role::Approver) {
                    p.quiet { "With the role approver, the program itself decides what leaves, in your name, and nobody has to look. Programs that only ask do not need it." }
                }
                button type="submit" { "Make token" }
            }))
        }
        @if !others.is_empty() {
            section aria-labelledby="others" {
                h2 #others { "Tokens of others" }
                ul.rows { @for token in others { li { (one_token(viewer, token)) } } }
            }
        }
    }
}

fn one_token(viewer: &Viewer, token: &TokenRow) -> Markup {
    html! {
        div {
            h3 { (text::brief(&token.label, LABEL_CHARS_MAX)) }
            p { @if token.name != viewer.person.name { "Of " (text::say(&token.name)) ". " } (roles(&token.roles)) }
            @if token.roles.contains(&Role::Approver) {
                p { strong { "It signs:" } " a program that has it decides what leaves, in the name of " (text::say(&token.name)) "." }
            }
            p.quiet {
                "Ends " (text::time(&token.expires)) ". "
                @match &token.used { Some(used) => { "Last used " (text::time(used)) "." }, None => "Never used." }
            }
        }
        (viewer.form(&format!("/tokens/{}/revoke", text::part(&token.id)), "", html! {
            button.no type="submit" { "Revoke" span.unseen { " " (text::say(&token.label)) } }
        }))
    }
}

/// Whether an operator's half of the page is shown.
pub fn sees_everybody(viewer: &Viewer) -> bool {
    viewer.may(Deed::ManagePeople)
}
