//! How one gets in: signing in, and choosing a password behind a link.

use super::people::choice_of_password;
use super::wrong::alert;
use super::{Page, text};
use crate::view::Failure;
use countersign::people::in_full;
use countersign::refusals::Code;
use maud::html;

/// The page to sign in on.
pub struct SignIn<'a> {
    /// Where to go on.
    pub next: &'a str,
    /// Whether somebody has just signed out.
    pub left: bool,
    /// The name that was typed.
    pub name: &'a str,
    /// Why it did not work.
    pub failed: Option<(Code, &'a Failure)>,
}

/// Draws it. The form carries no proof, as there is no session yet; where it comes from is checked all the same.
pub fn sign_in(page: &SignIn<'_>) -> Page {
    let main = html! {
        @if page.left { div.standing.done role="status" { p { "You are signed out." } } }
        @if let Some((code, failure)) = page.failed { (alert(code, failure)) }
        form method="post" action="/sign-in" {
            input type="hidden" name="next" value=(page.next);
            p.field {
                label for="name" { "Name" }
                input #name type="text" name="name" value=(countersign::printable::line(page.name)) autocomplete="username" autocapitalize="none" spellcheck="false" required;
            }
            p.field {
                label for="password" { "Password" }
                input #password type="password" name="password" autocomplete="current-password" required;
            }
            button.yes type="submit" { "Sign in" }
        }
        p.quiet { "No password yet, or forgotten? An operator makes a link for you." }
        p.quiet { "Where this server works for several tenants, the name has its tenant before it: " code { "acme/ada" } "." }
    };
    Page::new("Sign in", None, main)
}

/// The page behind a link: looking at it uses nothing up.
pub fn join(tenant: &str, name: &str, path: &str, failed: Option<(Code, &Failure)>) -> Page {
    let name = &in_full(tenant, name);
    let main = html! {
        @if let Some((code, failure)) = failed { (alert(code, failure)) }
        p { "You will sign in as " strong { (text::say(name)) } ". Choose your password." }
        form method="post" action=(path) {
            input type="hidden" name="username" autocomplete="username" value=(countersign::printable::line(name));
            (choice_of_password())
            button.yes type="submit" { "Choose password" }
        }
    };
    Page::new("Choose a password", None, main)
}

/// Somebody came over a link on another site, where a browser keeps the cookie back. One step within this site brings it along.
pub fn stepping_stone(path: &str) -> maud::Markup {
    html! {
        (maud::DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content={ "0; url=" (path) };
                title { "Opening - Countersign" }
                link rel="stylesheet" href="/assets/style.css";
            }
            body { main #main { h1 { "Opening" } p { a.button href=(path) { "Go on" } } } }
        }
    }
}
