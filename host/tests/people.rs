//! People and what lets them in, through the facade: links, passwords, browsers, roles and tokens.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use countersign::clock::{Clock, Millis};
use countersign::config::Config;
use countersign::engine::limits::Limits;
use countersign::host::{Host, Options, Signed, TENANT};
use countersign::people::secret::{
    IDLE_MS_MAX, INVITATION_MS_MAX, SESSION_MS_MAX, SESSIONS_MAX, Secret, TOKENS_MAX, USED_MS,
};
use countersign::people::{Owner, Person, Role, Scope};
use countersign::refusals::{Code, Error, Problem, Result};
use countersign::store::PEOPLE_MAX;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span;

const PASSWORD: &str = "correct horse battery";
const OTHER: &str = "staple staple staple";
const DAY_MS: Millis = 24 * 60 * 60 * 1000;

/// A host in memory, and its clock.
struct Room {
    host: Host,
    clock: Arc<Clock>,
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Room {
        Room::with(true)
    }

    fn with(in_memory: bool) -> Room {
        let (folder, clock) =
            (tempfile::tempdir().unwrap(), Arc::new(Clock::virtual_at(1_772_000_000_000, 1)));
        let options = Options {
            data: folder.path().join("data"),
            config: Config::default(),
            clock: clock.clone(),
            cache: None,
            limits: Limits { fuel_max: 2_000_000, wall_max: Duration::from_secs(60) },
            in_memory,
        };
        Room { host: Host::open(options).unwrap(), clock, folder }
    }

    /// A host with `owner`, who has every role and is signed in.
    async fn owned() -> (Room, Signed) {
        let room = Room::new();
        let link = room.host.first_link("owner").await.unwrap().unwrap();
        let owner = room.host.join(None, link.text(), PASSWORD).await.unwrap();
        (room, owner)
    }

    /// Somebody with these roles and [`PASSWORD`], signed in.
    async fn joined(&self, tenant: &str, name: &str, roles: &[Role]) -> Signed {
        let link = self.invite(tenant, name, roles).await;
        self.host.join(None, link.text(), PASSWORD).await.unwrap()
    }

    async fn invite(&self, tenant: &str, name: &str, roles: &[Role]) -> Secret {
        self.host.invite(tenant, name, Some(set(roles)), "owner/browser").await.unwrap().secret
    }

    async fn roles(&self, browser: &Signed) -> BTreeSet<Role> {
        self.host.session(browser.secret.text()).await.unwrap().roles
    }
}

fn set(roles: &[Role]) -> BTreeSet<Role> {
    roles.iter().copied().collect()
}

fn refused<T>(result: Result<T>) -> Problem {
    match result {
        Err(Error::Refused(problem)) => problem,
        Err(Error::Fault(fault)) => panic!("the host failed: {fault:#}"),
        Ok(_) => panic!("it was not refused"),
    }
}

fn code<T>(result: Result<T>) -> Code {
    refused(result).code
}

// Links

#[tokio::test]
async fn a_first_link_is_given_while_nobody_has_a_password_and_makes_an_owner_of_everything() {
    let room = Room::new();
    let older = room.host.first_link("owner").await.unwrap().unwrap();
    let newer = room.host.first_link("owner").await.unwrap().unwrap();
    assert_eq!(code(room.host.invited(older.text())), Code::LinkExpired);
    // Whoever is there in another tenant, or has not chosen a password, does not count.
    room.joined("other", "ann", &[Role::Operator]).await;
    room.invite(TENANT, "bob", &[Role::Operator]).await;
    assert!(room.host.invited(newer.text()).is_ok());
    let last = room.host.first_link("owner").await.unwrap().unwrap();
    let owner = room.host.join(None, last.text(), PASSWORD).await.unwrap();
    assert_eq!(owner.person.owner(), Owner::from("owner"));
    assert_eq!(owner.person.roles, set(&Role::ALL));
    assert_eq!(owner.person.by(), "owner/browser");
    assert!(room.host.first_link("owner").await.unwrap().is_none());
    assert_eq!(code(room.host.first_link("No Name").await), Code::InvalidParameter);
}

#[tokio::test]
async fn looking_at_a_link_changes_nothing_and_using_it_uses_it_up() {
    let room = Room::new();
    let link = room.invite(TENANT, "ann", &[Role::Invoker]).await;
    let before = room.host.commits();
    for _ in 0..3 {
        let found = room.host.invited(link.text()).unwrap();
        assert_eq!((found.tenant.as_str(), found.name.as_str()), (TENANT, "ann"));
    }
    assert_eq!(room.host.commits(), before);
    let ann = room.host.join(None, link.text(), PASSWORD).await.unwrap();
    assert_eq!(room.host.session(ann.secret.text()).await.unwrap(), ann.person);
    assert_eq!(code(room.host.join(None, link.text(), OTHER).await), Code::LinkExpired);
    assert_eq!(code(room.host.invited(link.text())), Code::LinkExpired);
    assert_eq!(code(room.host.sign_in(None, TENANT, "ann", OTHER).await), Code::Unauthenticated);
}

#[tokio::test]
async fn of_two_who_use_a_link_at_once_one_is_let_in() {
    let room = Room::new();
    let link = room.invite(TENANT, "ann", &[Role::Invoker]).await;
    let (a, b) =
        tokio::join!(room.host.join(None, link.text(), PASSWORD), room.host.join(None, link.text(), OTHER));
    let (won, lost) = if a.is_ok() { (PASSWORD, b) } else { (OTHER, a) };
    assert_eq!(code(lost), Code::LinkExpired);
    assert!(room.host.sign_in(None, TENANT, "ann", won).await.is_ok());
}

#[tokio::test]
async fn a_link_ends_after_a_day_and_with_a_newer_one() {
    let room = Room::new();
    let older = room.invite(TENANT, "ann", &[Role::Invoker]).await;
    let others = room.invite(TENANT, "bob", &[Role::Invoker]).await;
    let newer = room.host.invite(TENANT, "ann", None, "owner/browser").await.unwrap();
    assert_eq!(newer.expires_ms, room.clock.now() + DAY_MS);
    assert_eq!(code(room.host.join(None, older.text(), PASSWORD).await), Code::LinkExpired);
    room.clock.advance(INVITATION_MS_MAX - 1);
    assert!(room.host.invited(newer.secret.text()).is_ok() && room.host.invited(others.text()).is_ok());
    room.clock.advance(1);
    assert_eq!(code(room.host.invited(newer.secret.text())), Code::LinkExpired);
    assert_eq!(code(room.host.join(None, newer.secret.text(), PASSWORD).await), Code::LinkExpired);
    for garbage in ["", "x", &"x".repeat(43), &"é".repeat(1_000_000)] {
        assert_eq!(code(room.host.invited(garbage)), Code::LinkExpired);
    }
}

#[tokio::test]
async fn a_password_that_is_none_is_refused_and_leaves_the_link_as_it_is() {
    let room = Room::new();
    let link = room.invite(TENANT, "ann", &[Role::Invoker]).await;
    for bad in ["", "too short", &"x".repeat(1025)] {
        assert_eq!(code(room.host.join(None, link.text(), bad).await), Code::InvalidParameter);
    }
    assert!(room.host.join(None, link.text(), PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_link_changes_the_password_and_signs_every_browser_of_that_person_out() {
    let (room, owner) = Room::owned().await;
    let first = room.joined(TENANT, "ann", &[Role::Invoker]).await;
    let second = room.host.sign_in(None, TENANT, "ann", PASSWORD).await.unwrap();
    let link = room.host.invite(TENANT, "ann", None, "owner/browser").await.unwrap().secret;
    assert!(room.host.session(second.secret.text()).await.is_ok());
    let third = room.host.join(None, link.text(), OTHER).await.unwrap();
    for out in [first, second] {
        assert_eq!(code(room.host.session(out.secret.text()).await), Code::Unauthenticated);
    }
    assert!(room.host.session(third.secret.text()).await.is_ok());
    assert!(room.host.session(owner.secret.text()).await.is_ok());
    assert_eq!(code(room.host.sign_in(None, TENANT, "ann", PASSWORD).await), Code::Unauthenticated);
    assert!(room.host.sign_in(None, TENANT, "ann", OTHER).await.is_ok());
}

#[tokio::test]
async fn nobody_is_invited_under_a_name_that_is_none_without_a_role_or_as_somebody_else() {
    let (room, _) = Room::owned().await;
    let invite = |tenant: &'static str, name: &'static str, roles: Option<&[Role]>| {
        let roles = roles.map(set);
        let host = &room.host;
        async move { code(host.invite(tenant, name, roles, "owner/browser").await) }
    };
    for name in ["", "Ann", "a/b", "a b", "../ann", "ann\n"] {
        assert_eq!(invite(TENANT, name, Some(&[Role::Invoker])).await, Code::InvalidParameter, "{name}");
    }
    assert_eq!(invite("No Tenant", "ann", Some(&[Role::Invoker])).await, Code::InvalidParameter);
    assert_eq!(invite(TENANT, "ann", Some(&[])).await, Code::InvalidParameter);
    assert_eq!(invite(TENANT, "ann", None).await, Code::UnknownId);
    assert_eq!(invite(TENANT, "owner", Some(&[Role::Invoker])).await, Code::InvalidParameter);
    assert_eq!(room.host.people(TENANT).unwrap().len(), 1);
}

// Browsers

#[tokio::test]
async fn name_and_password_are_refused_alike() {
    let (room, _) = Room::owned().await;
    room.invite(TENANT, "invited", &[Role::Invoker]).await;
    let wrong = refused(room.host.sign_in(None, TENANT, "owner", OTHER).await);
    assert_eq!(wrong.code, Code::Unauthenticated);
    for (tenant, name, password) in [
        (TENANT, "nobody", PASSWORD),
        (TENANT, "invited", PASSWORD),
        (TENANT, "invited", ""),
        ("other", "owner", PASSWORD),
        (TENANT, "OWNER", PASSWORD),
        (TENANT, "", ""),
        (TENANT, &"x".repeat(100_000), &"x".repeat(100_000)),
        (TENANT, "owner", &PASSWORD.repeat(1000)),
    ] {
        assert_eq!(refused(room.host.sign_in(None, tenant, name, password).await), wrong);
    }
}

#[tokio::test]
async fn a_browser_is_signed_out_after_two_quiet_hours_or_twelve() {
    let (room, owner) = Room::owned().await;
    let secret = owner.secret.text();
    assert_eq!(owner.expires_ms, room.clock.now() + SESSION_MS_MAX);
    room.clock.advance(IDLE_MS_MAX - 1);
    assert!(room.host.session(secret).await.is_ok());
    for _ in 0..9 {
        room.clock.advance(60 * 60 * 1000);
        assert!(room.host.session(secret).await.is_ok());
    }
    // Eleven hours and a little have passed.
    room.clock.advance(owner.expires_ms - room.clock.now() - 1);
    assert!(room.host.session(secret).await.is_ok());
    room.clock.advance(1);
    assert_eq!(code(room.host.session(secret).await), Code::Unauthenticated);

    let quiet = room.host.sign_in(None, TENANT, "owner", PASSWORD).await.unwrap();
    room.clock.advance(IDLE_MS_MAX);
    assert_eq!(code(room.host.session(quiet.secret.text()).await), Code::Unauthenticated);
}

#[tokio::test]
async fn the_use_of_a_browser_or_token_is_written_once_a_minute() {
    let (room, owner) = Room::owned().await;
    let token = room.host.make_token(&owner.person, "a label", None, 1).await.unwrap().token.text();
    assert!(room.host.token(&token).await.is_ok());
    let used = || room.host.tokens(TENANT_ALL).unwrap()[0].used_ms;
    let first = room.clock.now();
    let before = room.host.commits();
    room.clock.advance(USED_MS - 1);
    for _ in 0..10 {
        room.host.session(owner.secret.text()).await.unwrap();
        room.host.token(&token).await.unwrap();
    }
    assert_eq!((room.host.commits(), used()), (before, Some(first)));
    room.clock.advance(1);
    for _ in 0..10 {
        room.host.session(owner.secret.text()).await.unwrap();
        room.host.token(&token).await.unwrap();
    }
    assert_eq!((room.host.commits(), used()), (before + 2, Some(first + USED_MS)));
}

/// Everybody's.
const TENANT_ALL: Scope<'_> = Scope { tenant: TENANT, user: None };

#[tokio::test]
async fn every_sign_in_has_a_secret_of_its_own_and_signing_out_ends_that_browser_only() {
    let (room, first) = Room::owned().await;
    let second = room.host.sign_in(None, TENANT, "owner", PASSWORD).await.unwrap();
    assert_ne!(first.secret, second.secret);
    room.host.sign_out(None, second.secret.text()).await.unwrap();
    room.host.sign_out(None, second.secret.text()).await.unwrap();
    room.host.sign_out(None, "garbage").await.unwrap();
    assert_eq!(code(room.host.session(second.secret.text()).await), Code::Unauthenticated);
    assert!(room.host.session(first.secret.text()).await.is_ok());
}

#[tokio::test]
async fn a_changed_password_signs_every_browser_out_but_the_one_it_was_changed_in() {
    let (room, first) = Room::owned().await;
    let second = room.host.sign_in(None, TENANT, "owner", PASSWORD).await.unwrap();
    let link = room.host.invite(TENANT, "owner", None, "owner/browser").await.unwrap().secret;
    let change = |secret: &Secret, before: &'static str, after: &'static str| {
        let (secret, host) = (secret.text().to_owned(), &room.host);
        async move { host.change_password(None, &secret, before, after).await }
    };
    assert_eq!(code(change(&first.secret, OTHER, OTHER).await), Code::Unauthenticated);
    assert_eq!(code(change(&first.secret, PASSWORD, "short").await), Code::InvalidParameter);
    assert!(room.host.session(second.secret.text()).await.is_ok());
    let third = change(&first.secret, PASSWORD, OTHER).await.unwrap();
    for out in [&first, &second] {
        assert_ne!(out.secret, third.secret);
        assert_eq!(code(room.host.session(out.secret.text()).await), Code::Unauthenticated);
        assert_eq!(code(change(&out.secret, OTHER, PASSWORD).await), Code::Unauthenticated);
    }
    // A link that was under way would undo it.
    assert_eq!(code(room.host.invited(link.text())), Code::LinkExpired);
    assert_eq!(code(room.host.sign_in(None, TENANT, "owner", PASSWORD).await), Code::Unauthenticated);
    assert!(room.host.sign_in(None, TENANT, "owner", OTHER).await.is_ok());
}

#[tokio::test]
async fn one_browser_too_many_signs_the_oldest_of_that_person_out() {
    let (room, first) = Room::owned().await;
    let ann = room.joined(TENANT, "ann", &[Role::Invoker]).await;
    let mut later = Vec::new();
    for _ in 0..SESSIONS_MAX {
        room.clock.advance(1);
        later.push(room.host.sign_in(None, TENANT, "owner", PASSWORD).await.unwrap());
    }
    assert_eq!(code(room.host.session(first.secret.text()).await), Code::Unauthenticated);
    for browser in later.iter().chain([&ann]) {
        assert!(room.host.session(browser.secret.text()).await.is_ok());
    }
}

// Roles

#[tokio::test]
async fn other_roles_hold_at_once_in_every_browser_and_through_every_token() {
    let (room, _) = Room::owned().await;
    let ann = room.joined(TENANT, "ann", &[Role::Invoker, Role::Approver]).await;
    let named = Some(ann.person.roles.clone());
    let all = room.host.make_token(&ann.person, "all", named, 1).await.unwrap().token.text();
    let roles = Some(set(&[Role::Approver]));
    let one = room.host.make_token(&ann.person, "one", roles, 1).await.unwrap().token.text();
    let through = async |token: &str| room.host.token(token).await.unwrap().roles;
    assert_eq!(through(&all).await, set(&[Role::Invoker, Role::Approver]));
    assert_eq!(through(&one).await, set(&[Role::Approver]));
    let now = [Role::Invoker, Role::Auditor];
    let row = room.host.set_roles(TENANT, "ann", &set(&now), "owner/browser").await.unwrap();
    assert_eq!(row.roles, set(&now));
    assert_eq!(room.roles(&ann).await, set(&now));
    assert_eq!(through(&all).await, set(&[Role::Invoker]));
    assert_eq!(through(&one).await, set(&[]));
    assert_eq!(code(room.host.set_roles(TENANT, "ann", &set(&[]), "owner").await), Code::InvalidParameter);
    assert_eq!(code(room.host.set_roles(TENANT, "nobody", &set(&now), "owner").await), Code::UnknownId);
    assert_eq!(code(room.host.set_roles("other", "ann", &set(&now), "owner").await), Code::UnknownId);
}

#[tokio::test]
async fn whoever_is_removed_is_out_at_once_and_nothing_of_it_comes_back_with_the_name() {
    let (room, _) = Room::owned().await;
    let ann = room.joined(TENANT, "ann", &[Role::Invoker]).await;
    let namesake = room.joined("other", "ann", &[Role::Invoker]).await;
    let token = room.host.make_token(&ann.person, "a label", None, 1).await.unwrap().token.text();
    let link = room.host.invite(TENANT, "ann", None, "owner/browser").await.unwrap().secret;
    room.host.remove_person(TENANT, "ann", "owner/browser").await.unwrap();
    for _ in 0..2 {
        assert_eq!(code(room.host.session(ann.secret.text()).await), Code::Unauthenticated);
        assert_eq!(code(room.host.token(&token).await), Code::Unauthenticated);
        assert_eq!(code(room.host.join(None, link.text(), PASSWORD).await), Code::LinkExpired);
        assert_eq!(code(room.host.sign_in(None, TENANT, "ann", PASSWORD).await), Code::Unauthenticated);
        assert!(room.host.tokens(TENANT_ALL).unwrap().is_empty());
        // Somebody of the same name.
        room.invite(TENANT, "ann", &[Role::Operator]).await;
    }
    assert_eq!(
        code(room.host.make_token(&Person { name: "bob".into(), ..ann.person }, "x", None, 1).await),
        Code::Unauthenticated
    );
    assert_eq!(code(room.host.remove_person(TENANT, "bob", "owner/browser").await), Code::UnknownId);
    assert!(room.host.session(namesake.secret.text()).await.is_ok());
}

#[tokio::test]
async fn the_last_operator_who_can_sign_in_stays_one() {
    let (room, owner) = Room::owned().await;
    room.joined(TENANT, "ann", &[Role::Approver]).await;
    room.joined("other", "eve", &[Role::Operator]).await;
    // One who has not chosen a password yet is not enough.
    let link = room.invite(TENANT, "bob", &[Role::Operator]).await;
    let less = set(&[Role::Approver]);
    let demoted = refused(room.host.set_roles(TENANT, "owner", &less, "owner/browser").await);
    let removed = refused(room.host.remove_person(TENANT, "owner", "owner/browser").await);
    for problem in [demoted, removed] {
        assert_eq!(problem.code, Code::Forbidden);
        assert!(problem.message.contains("`owner` is the last operator") && problem.hint.is_some());
    }
    let more = set(&[Role::Operator, Role::Auditor]);
    assert!(room.host.set_roles(TENANT, "owner", &more, "owner/browser").await.is_ok());
    room.host.join(None, link.text(), PASSWORD).await.unwrap();
    room.host.set_roles(TENANT, "owner", &less, "bob/browser").await.unwrap();
    assert_eq!(room.roles(&owner).await, less);
    assert_eq!(code(room.host.remove_person(TENANT, "bob", "bob/browser").await), Code::Forbidden);
    room.host.remove_person(TENANT, "owner", "bob/browser").await.unwrap();
    // Without anybody who can sign in, the last one who might stays.
    let alone = Room::new();
    alone.invite(TENANT, "bob", &[Role::Operator]).await;
    assert_eq!(code(alone.host.remove_person(TENANT, "bob", "local").await), Code::Forbidden);
}

#[tokio::test]
async fn of_two_operators_who_remove_each_other_at_once_one_stays() {
    let (room, _) = Room::owned().await;
    room.joined(TENANT, "ann", &[Role::Operator]).await;
    let (a, b) = tokio::join!(
        room.host.remove_person(TENANT, "ann", "owner/browser"),
        room.host.remove_person(TENANT, "owner", "ann/browser"),
    );
    assert!(a.is_ok() != b.is_ok());
    assert_eq!(room.host.people(TENANT).unwrap().len(), 1);
}

#[tokio::test]
async fn another_approver_is_somebody_else_of_the_tenant_with_the_role_and_a_password() {
    let (room, _) = Room::owned().await;
    let has = || room.host.has_other_approver(TENANT, "owner").unwrap();
    assert!(!has());
    assert!(room.host.has_other_approver(TENANT, "somebody").unwrap());
    room.joined(TENANT, "ann", &[Role::Operator, Role::Invoker, Role::Auditor]).await;
    room.joined("other", "eve", &[Role::Approver]).await;
    let link = room.invite(TENANT, "bob", &[Role::Approver]).await;
    assert!(!has());
    room.host.join(None, link.text(), PASSWORD).await.unwrap();
    assert!(has());
    room.host.set_roles(TENANT, "bob", &set(&[Role::Auditor]), "owner/browser").await.unwrap();
    assert!(!has());
}

#[tokio::test]
async fn the_people_of_a_tenant_are_listed_with_what_is_known_of_them() {
    let (room, _) = Room::owned().await;
    let invited =
        room.host.invite(TENANT, "ann", Some(set(&[Role::Invoker])), "owner/browser").await.unwrap();
    room.joined("other", "eve", &[Role::Operator]).await;
    let people = room.host.people(TENANT).unwrap();
    let [ann, owner] = &people[..] else { panic!("{people:?}") };
    assert_eq!((ann.name.as_str(), ann.has_password), ("ann", false));
    assert_eq!(ann.invited_until_ms, Some(invited.expires_ms));
    assert_eq!((ann.added_ms, ann.added_by.as_str()), (room.clock.now(), "owner/browser"));
    assert_eq!((owner.name.as_str(), owner.has_password, owner.invited_until_ms), ("owner", true, None));
    assert_eq!(owner.roles, set(&Role::ALL));
    room.clock.advance(INVITATION_MS_MAX);
    assert_eq!(room.host.people(TENANT).unwrap()[0].invited_until_ms, None);
}

#[tokio::test]
async fn a_tenant_has_room_for_so_many_people() {
    let room = Room::new();
    for number in 0..PEOPLE_MAX {
        room.invite(TENANT, &format!("p{number}"), &[Role::Invoker]).await;
    }
    let more = Some(set(&[Role::Invoker]));
    assert_eq!(code(room.host.invite(TENANT, "more", more.clone(), "local").await), Code::InvalidParameter);
    assert!(room.host.invite("other", "more", more, "local").await.is_ok());
    room.host.remove_person(TENANT, "p0", "local").await.unwrap();
    room.invite(TENANT, "more", &[Role::Invoker]).await;
}

// Tokens

#[tokio::test]
async fn a_token_says_whose_it_is_until_it_ends_or_is_revoked() {
    let (room, owner) = Room::owned().await;
    let made = room.host.make_token(&owner.person, "nightly report", None, 2).await.unwrap();
    let text = made.token.text();
    let known = room.host.token(&text).await.unwrap();
    assert_eq!(known.by(), format!("owner/{}", made.row.id));
    // Who may sign does not sign through a program, unless that was said.
    let mut unnamed = owner.person.roles.clone();
    assert!(unnamed.remove(&Role::Approver));
    assert_eq!((known.tenant.as_str(), &known.roles), (TENANT, &unnamed));
    let listed = room.host.tokens("owner").unwrap();
    assert_eq!(
        listed,
        [countersign::store::TokenRow { used_ms: Some(room.clock.now()), ..made.row.clone() }]
    );
    assert_eq!(
        (listed[0].label.as_str(), listed[0].expires_ms),
        ("nightly report", room.clock.now() + 2 * DAY_MS)
    );

    // One id with another's secret is nobody's.
    let other = room.host.make_token(&owner.person, "another", None, 365).await.unwrap();
    let mixed = format!("cs_{}_{}", made.row.id, other.token.secret.text());
    for wrong in [&mixed, "", "cs_", owner.secret.text(), &"x".repeat(1_000_000)] {
        assert_eq!(code(room.host.token(wrong).await), Code::Unauthenticated);
    }
    // Nor does a token sign a browser in, or a browser's secret serve as one.
    assert_eq!(code(room.host.session(&text).await), Code::Unauthenticated);
    assert_eq!(code(room.host.session(made.token.secret.text()).await), Code::Unauthenticated);

    room.clock.advance(2 * DAY_MS - 1);
    assert!(room.host.token(&text).await.is_ok());
    room.clock.advance(1);
    assert_eq!(code(room.host.token(&text).await), Code::Unauthenticated);
    let other_text = other.token.text();
    assert!(room.host.token(&other_text).await.is_ok());
    room.host.revoke_token("owner", &other.row.id, "owner/browser").await.unwrap();
    assert_eq!(code(room.host.token(&other_text).await), Code::Unauthenticated);
}

#[tokio::test]
async fn a_token_has_no_role_its_maker_lacks_there() {
    let (room, _) = Room::owned().await;
    let ann = room.joined(TENANT, "ann", &[Role::Invoker, Role::Auditor]).await;
    let make = async |person: &Person, roles: &[Role]| {
        room.host.make_token(person, "a label", Some(set(roles)), 1).await.map(|made| made.token.text())
    };
    assert_eq!(code(make(&ann.person, &[Role::Invoker, Role::Operator]).await), Code::Forbidden);
    let less = make(&ann.person, &[Role::Auditor]).await.unwrap();
    let through = room.host.token(&less).await.unwrap();
    assert_eq!(through.roles, set(&[Role::Auditor]));
    assert_eq!(code(make(&through, &[Role::Invoker]).await), Code::Forbidden);
    assert!(make(&through, &[Role::Auditor]).await.is_ok());
}

#[tokio::test]
async fn a_token_made_through_a_token_ends_with_it() {
    let (room, owner) = Room::owned().await;
    let short = room.host.make_token(&owner.person, "for a day", None, 1).await.unwrap();
    let through = room.host.token(&short.token.text()).await.unwrap();
    let made = room.host.make_token(&through, "for a year", None, 365).await.unwrap();
    assert_eq!(made.row.expires_ms, short.row.expires_ms);
    let text = made.token.text();
    assert!(room.host.token(&text).await.is_ok());
    room.clock.advance(DAY_MS);
    assert_eq!(code(room.host.token(&text).await), Code::Unauthenticated);
}

#[tokio::test]
async fn the_tokens_of_others_look_like_tokens_that_do_not_exist() {
    let (room, owner) = Room::owned().await;
    let ann = room.joined(TENANT, "ann", &[Role::Invoker]).await;
    let eve = room.joined("other", "ann", &[Role::Invoker]).await;
    let owners = room.host.make_token(&owner.person, "owner's", None, 1).await.unwrap();
    let anns = room.host.make_token(&ann.person, "ann's", None, 1).await.unwrap();
    let eves = room.host.make_token(&eve.person, "eve's", None, 1).await.unwrap();
    assert_eq!(room.host.tokens(ann.person.owner()).unwrap(), std::slice::from_ref(&anns.row));
    assert_eq!(room.host.tokens(TENANT_ALL).unwrap().len(), 2);
    let unknown = "tok_00000000000000000000000000";
    let none = refused(room.host.revoke_token(ann.person.owner(), unknown, "ann/browser").await);
    assert_eq!(none.code, Code::UnknownId);
    for id in [&owners.row.id, &eves.row.id] {
        let mut problem = refused(room.host.revoke_token(ann.person.owner(), id, "ann/browser").await);
        problem.message = problem.message.replace(id.as_str(), unknown);
        assert_eq!(problem, none);
    }
    assert!(room.host.token(&owners.token.text()).await.is_ok());
    assert!(room.host.revoke_token(TENANT_ALL, &anns.row.id, "owner/browser").await.is_ok());
}

#[tokio::test]
async fn a_person_has_room_for_so_many_tokens_and_those_that_have_ended_make_some() {
    let (room, owner) = Room::owned().await;
    let make = async |days| room.host.make_token(&owner.person, "a label", None, days).await;
    for number in 0..TOKENS_MAX {
        make(1 + u32::from(number > 0)).await.unwrap();
    }
    assert_eq!(code(make(1).await), Code::InvalidParameter);
    room.clock.advance(DAY_MS);
    make(1).await.unwrap();
    assert_eq!(code(make(1).await), Code::InvalidParameter);
}

// Records

#[tokio::test]
async fn the_audit_of_a_tenant_tells_who_was_let_in_by_whom_and_as_what() {
    let room = Room::new();
    let link = room.host.first_link("owner").await.unwrap().unwrap();
    let owner = room.host.join(None, link.text(), PASSWORD).await.unwrap().person;
    room.invite(TENANT, "ann", &[Role::Approver, Role::Invoker]).await;
    room.host.set_roles(TENANT, "ann", &set(&[Role::Auditor]), &owner.by()).await.unwrap();
    let id = room.host.make_token(&owner, "a label", Some(set(&[Role::Auditor])), 1).await.unwrap().row.id;
    room.host.revoke_token("owner", &id, &owner.by()).await.unwrap();
    room.host.remove_person(TENANT, "ann", &owner.by()).await.unwrap();
    room.joined("other", "eve", &[Role::Operator]).await;
    let told = |tenant: &str| {
        let mut told = Vec::new();
        let take = |_, entry: countersign::audit::Entry| {
            told.push(format!("{} {}", entry.kind, entry.body));
            Ok(())
        };
        room.host.each_audit_entry(tenant, take).unwrap();
        assert_eq!(room.host.audit(tenant, None).unwrap().broken, None);
        told
    };
    let all = r#"["operator","approver","invoker","auditor","metrics"]"#;
    let by = countersign::host::principal();
    assert_eq!(
        told(TENANT)[1..],
        [
            format!(r#"invite {{"tenant":"main","person":"owner","roles":{all},"by":"{by}"}}"#),
            r#"join {"tenant":"main","user":"owner","person":"owner","from":null}"#.into(),
            r#"invite {"tenant":"main","person":"ann","roles":["approver","invoker"],"by":"owner/browser"}"#
                .into(),
            r#"assign {"tenant":"main","person":"ann","roles":["auditor"],"by":"owner/browser"}"#.into(),
            format!(
                r#"issue {{"tenant":"main","user":"owner","token":"{id}","roles":["auditor"],"expires":"2026-02-26T06:13:20.000Z","by":"owner/browser"}}"#
            ),
            format!(r#"recall {{"tenant":"main","user":"owner","token":"{id}","by":"owner/browser"}}"#),
            r#"dismiss {"tenant":"main","person":"ann","by":"owner/browser"}"#.into(),
        ]
    );
    assert_eq!(told("other").len(), 2);
}

#[tokio::test]
async fn no_password_link_browser_or_token_stands_in_the_data_folder_the_audit_or_the_log() {
    log_all();
    let room = Room::with(false);
    let first = room.host.first_link("owner").await.unwrap().unwrap();
    let owner = room.host.join(None, first.text(), PASSWORD).await.unwrap();
    let link = room.invite(TENANT, "ann", &[Role::Invoker]).await;
    let token = room.host.make_token(&owner.person, "a label", None, 1).await.unwrap().token;
    room.host.token(&token.text()).await.unwrap();
    let changed = room.host.change_password(None, owner.secret.text(), PASSWORD, OTHER).await.unwrap();
    let signed = room.host.sign_in(None, TENANT, "owner", OTHER).await.unwrap();
    // What goes wrong is told without what was typed, and a password may be typed as a name.
    let typed = "typed into the wrong field";
    refused(room.host.sign_in(None, TENANT, "owner", typed).await);
    refused(room.host.sign_in(None, TENANT, typed, "").await);
    refused(room.host.change_password(None, changed.secret.text(), typed, PASSWORD).await);
    refused(room.host.session(&typed.repeat(2)[..43]).await);

    let secrets = [
        PASSWORD,
        OTHER,
        typed,
        first.text(),
        link.text(),
        owner.secret.text(),
        changed.secret.text(),
        signed.secret.text(),
        token.secret.text(),
    ];
    let mut audit = String::new();
    room.host
        .each_audit_entry(TENANT, |_, entry| {
            audit += &entry.body;
            Ok(())
        })
        .unwrap();
    let log = LOG.lock().unwrap().clone();
    assert!(log.contains("a sign-in as owner of tenant main failed"), "{log}");
    assert!(log.contains("a sign-in under an unknown name failed"), "{log}");
    let mut places =
        vec![("the audit".to_owned(), audit.into_bytes()), ("the log".to_owned(), log.into_bytes())];
    files(room.folder.path(), &mut places);
    // The search finds what is there.
    assert!(
        places.iter().any(|(name, bytes)| name.contains("countersign.db") && holds(bytes, b"$argon2id$"))
    );
    for (place, bytes) in &places {
        for secret in secrets {
            assert!(!holds(bytes, secret.as_bytes()), "{secret} stands in {place}");
        }
    }
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
}

static LOG: Mutex<String> = Mutex::new(String::new());

/// Keeps everything this program logs, at every level.
fn log_all() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Everything).unwrap());
}

struct Everything;

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl tracing::Subscriber for Everything {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut Line(&mut LOG.lock().unwrap()));
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Line(&mut LOG.lock().unwrap()));
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut log = LOG.lock().unwrap();
        event.record(&mut Line(&mut log));
        log.push('\n');
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
