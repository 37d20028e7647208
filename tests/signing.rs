//! Messages that were shown as something else than what left: each input of `tests/cases/signing`, played to the person who is asked.

use crate::support::{guest, workspace};
use countersign::approval::Policy;
use countersign::approval::notices::{Flag, Notice, Weight};
use countersign::authority::{Capability, Pattern};
use countersign::clock::Clock;
use countersign::config::{Config, User, Way};
use countersign::engine::limits::Limits;
use countersign::host::{Host, Install, Options};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const USER: &str = "local";

/// What a person is asked of one input, or what the agent hears in its place.
struct Played {
    notices: Vec<Notice>,
    heard: String,
}

impl Played {
    fn notice(&self, flag: Flag) -> &Notice {
        let found = self.notices.iter().find(|notice| notice.flag == flag);
        found.unwrap_or_else(|| panic!("no {flag:?} in {:#?}; heard {}", self.notices, self.heard))
    }
}

async fn play(name: &str, policy: Policy) -> Played {
    let text = std::fs::read_to_string(workspace().join("tests/cases/signing").join(format!("{name}.json")))
        .unwrap();
    let input: Value = serde_json::from_str(&text).unwrap();
    let step = |step: &Value| match step.as_object().unwrap().iter().next().unwrap() {
        (call, with) if call == "ask" => json!({ "call": "approval.request", "with": with }),
        (_, with) => json!({ "call": "messages.send", "with": with }),
    };
    let steps: Vec<_> = input["steps"].as_array().unwrap().iter().map(step).collect();
    let data = tempfile::tempdir().unwrap();
    let user = User { address: "me@company.com".into(), way: Way::Embedded };
    let config = Config { users: BTreeMap::from([(USER.to_owned(), user)]), policy, ..Config::default() };
    let host = Host::open(Options {
        data: data.path().join("data"),
        config,
        clock: Arc::new(Clock::virtual_at(1_772_000_000_000, 1)),
        cache: Some(workspace().join("target/test-cache/countersign")),
        limits: Limits { fuel_max: 200_000_000, wall_max: Duration::from_secs(60) },
        in_memory: true,
    })
    .unwrap();
    let bytes = std::fs::read(guest("guest-script")).unwrap();
    let grants = [Capability::MessagesRead, Capability::MessagesSend].into();
    host.install(USER, bytes, Install { grants, ..Install::default() }, "a test").await.unwrap();
    let parameters = json!({ "steps": steps }).as_object().unwrap().clone();
    let view = host.submit(USER, "test.agent.script", "script", parameters, None).await.unwrap();
    let notices = view.pending().map(|stored| stored.notices()).unwrap_or_default();
    let heard =
        view.intent.card.as_ref().and_then(|card| card["body"].as_str()).unwrap_or_default().to_owned();
    Played { notices, heard }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_no_recipient_and_nobody_is_asked() {
    let recipients = Some(vec![Pattern::new("*@company.com")]);
    for policy in [Policy::default(), Policy { recipients, ..Policy::default() }] {
        let played = play("percent-route", policy).await;
        assert!(played.notices.is_empty(), "{:#?}", played.notices);
        assert_eq!(played.heard.matches("INVALID_RECIPIENT").count(), 2, "{}", played.heard);
        let why = "Mail servers read `%` as a route to another domain: write the address of the one it is meant for.";
        assert!(played.heard.contains(why), "{}", played.heard);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_shows_another_host_before_an_at_sign_is_refused() {
    let played = play("link-semicolon", Policy::default()).await;
    assert!(played.notices.is_empty(), "{:#?}", played.notices);
    assert!(played.heard.contains("INVALID_PARAMETER"), "{}", played.heard);
    assert!(played.heard.contains("leave out the `@` and what stands before it"), "{}", played.heard);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_plain_text_is_told_by_where_browsers_go() {
    let played = play("link-text-only-semicolon", Policy::default()).await;
    assert!(played.notice(Flag::Links).values.contains(&"evil.example".into()), "{:#?}", played.notices);
    let misleading = played.notice(Flag::MisleadingLink);
    assert_eq!(misleading.values, ["bank.com; leads to evil.example"]);
    assert_eq!(played.notices[0].flag, Flag::MisleadingLink);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_a_mail_link_writes_to_is_named() {
    let played = play("mailto-two", Policy::default()).await;
    let links = played.notice(Flag::Links);
    assert_eq!(links.values, ["thief@evil.example", "boss@company.com"]);
    assert!(
        played.notice(Flag::MisleadingLink).text.contains("boss@company.com leads to thief@evil.example")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_readers_make_links_of_is_listed_as_links() {
    let played = play("bare-domains", Policy::default()).await;
    let links = played.notice(Flag::Links);
    assert_eq!(links.values, ["ceo@evil.example", "payroll-portal.evil.example"]);
    assert_eq!(links.weight, Weight::Matters);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_notice_keeps_the_end_of_a_long_name() {
    let played = play("long-host", Policy::default()).await;
    for flag in [Flag::FirstTimeRecipient, Flag::ExternalRecipient, Flag::Links] {
        let notice = played.notice(flag);
        assert!(notice.text.contains(".evil.example"), "{notice:#?}");
        assert!(notice.values.iter().all(|value| value.ends_with(".evil.example")), "{notice:#?}");
    }
    assert!(played.notice(Flag::LookAlike).text.contains("for company.com"), "{:#?}", played.notices);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_text_is_pointed_out() {
    let played = play("uuencode", Policy::default()).await;
    assert_eq!(played.notice(Flag::EncodedFile).values, ["invoice.html"]);
}
