//! The same message again, as a person sees it; and what a message answers.

use crate::tenants::{AGENT, code, decide, desk, follow, host, install, order, resume, waiting};
use countersign::approval::Verdict;
use countersign::approval::notices::Flag;
use countersign::authority::Capability;
use countersign::desk::Desk;
use countersign::host::{Host, Order, View};
use countersign::people::{Owner, Role};
use countersign::refusals::Code;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Asks, and sends this.
fn sends(to: &str, subject: &str, body: &str) -> Order {
    let ask = json!({ "action": "send_message", "title": "Report", "description": "The report." });
    let message = json!({ "to": [to], "subject": subject, "body": body });
    does(json!([{ "call": "approval.request", "with": ask }, { "call": "messages.send", "with": message }]))
}

fn does(steps: Value) -> Order {
    Order { parameters: Map::from_iter([("steps".to_owned(), steps)]), ..order("") }
}

async fn run(host: &Host, desk: &Desk, order: Order) -> View {
    let accepted = desk.submit(order, None).await.unwrap();
    resume(host, desk, &accepted.intent).await.unwrap()
}

async fn office() -> (tempfile::TempDir, Arc<Host>, Desk) {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder.path().join("data"));
    let ada = desk(&host, "main", "ada", &Role::ALL);
    install(&ada).await;
    (folder, host, ada)
}

fn flags(view: &View) -> Vec<(Flag, String)> {
    let notices = view.pending().unwrap().notices().into_iter();
    let earlier = [Flag::DeclinedBefore, Flag::SentBefore, Flag::OnItsWay];
    notices.filter(|it| earlier.contains(&it.flag)).map(|it| (it.flag, it.text)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_holds_for_whatever_looks_the_same_and_the_agent_hears_when_it_was_said() {
    let (_folder, host, ada) = office().await;
    let view = run(&host, &ada, sends("team@company.com", "Report", "One line.\nAnother.")).await;
    decide(&ada, &view, Verdict::Decline).await.unwrap();
    follow(&host, &ada, &view).await.unwrap();
    let at =
        host.approval(Owner { tenant: "main", user: "ada" }, &view.pending().unwrap().approval.id).unwrap();
    let at = countersign::clock::rfc3339(at.decided.unwrap().at_ms);
    for (to, subject, body) in [
        ("team@company.com", "Report", "One line.\r\nAnother."),
        ("Team@Company.com", "Report", "One line.\nAnother."),
        ("team@company.com", " Report  ", "One  line. \n\tAnother.\n\n"),
        ("team@company.com", "Report", "One line.\nAno\u{200b}ther."),
    ] {
        let view = run(&host, &ada, sends(to, subject, body)).await;
        assert!(view.pending().is_none(), "{body:?}");
        let heard = format!("{:?}", ada.journal(&view.intent.id).unwrap());
        assert!(heard.contains(&format!("which the user declined at {at}")), "{heard}");
    }
    let view = run(&host, &ada, sends("team@company.com", "Report", "One line.\nA third.")).await;
    assert_eq!(flags(&view), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_signed_before_and_looks_the_same_is_said_to_be_on_its_way_or_to_have_left() {
    let (_folder, host, ada) = office().await;
    let first = run(&host, &ada, sends("team@company.com", "Report", "All is well.")).await;
    assert_eq!(flags(&first), []);
    decide(&ada, &first, Verdict::Approve).await.unwrap();
    let second = run(&host, &ada, sends("Team@company.com", "Report", "All  is well.\n")).await;
    let [(Flag::OnItsWay, text)] = &flags(&second)[..] else { panic!("{:?}", flags(&second)) };
    assert!(text.contains("is still on its way"), "{text}");
    // Asked again, the first would leave twice: it is refused until it has left.
    assert_eq!(code(ada.retry(&first.intent.id, None).await), Code::StillLeaving);
    assert_eq!(
        code(host.retry(Owner { tenant: "main", user: "ada" }, &first.intent.id).await),
        Code::StillLeaving
    );
    follow(&host, &ada, &first).await.unwrap();
    let shown = ada.show(&second.intent.id).unwrap();
    let [(Flag::SentBefore, text)] = &flags(&shown)[..] else { panic!("{:?}", flags(&shown)) };
    assert!(text.contains("is kept here: nobody has got it"), "{text}");
    let retried = ada.retry(&first.intent.id, None).await.unwrap();
    let third = resume(&host, &ada, &retried.intent).await.unwrap();
    assert_eq!(flags(&third).len(), 1);
    // Once declined, the next look says that, too.
    decide(&ada, &second, Verdict::Decline).await.unwrap();
    let shown = ada.show(&third.intent.id).unwrap();
    let found = flags(&shown);
    assert!(matches!(found[..], [(Flag::DeclinedBefore, _), (Flag::SentBefore, _)]), "{found:?}");
    assert!(found[0].1.contains("by ada."), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_three_messages_of_the_recipients_that_the_run_has_read_stand_beside_its_message() {
    let (folder, host, ada) = office().await;
    ada.grant(AGENT, &[Capability::MessagesRead]).await.unwrap();
    let mails = folder.path().join("mails");
    std::fs::create_dir(&mails).unwrap();
    let from = [
        "team@company.com",
        "team@company.com",
        "thief@evil.example",
        "Team@Company.com",
        "team@company.com",
    ];
    for (day, from) in from.into_iter().enumerate() {
        let text = format!(
            "From: {from}\r\nTo: ada@localhost\r\nSubject: Day {day}\r\nMessage-ID: <{day}@x>\r\n\
             Date: Tue, {:02} Feb 2026 10:00:00 +0000\r\n\r\nHello on day {day}.\r\n",
            10 + day
        );
        std::fs::write(mails.join(format!("{day}.eml")), text).unwrap();
    }
    let owner = Owner { tenant: "main", user: "ada" };
    host.import(owner, &mails, |_, _| {}).await.unwrap();
    let Order { parameters, .. } = sends("team@company.com", "Re: Day 4", "Thank you.");
    let steps = &parameters["steps"];
    // It has read the mail before it asks, or only behind it, where the branch did.
    let orders = [
        json!([{ "call": "messages.list", "with": {} }, steps[0], steps[1]]),
        json!([steps[0], { "call": "messages.list", "with": {} }, steps[1]]),
    ];
    for steps in orders {
        let view = run(&host, &ada, does(steps)).await;
        let id = &view.pending().unwrap().approval.id;
        let found = ada.answered(id).unwrap().unwrap();
        let subjects: Vec<_> = found.iter().map(|mail| mail.subject.as_str()).collect();
        assert_eq!(subjects, ["Day 4", "Day 3", "Day 1"]);
        assert_eq!(found[0].body, "Hello on day 4.");
        // Others decide about it, and may not read her mail.
        let eve = desk(&host, "main", "eve", &[Role::Approver, Role::Invoker, Role::Operator]);
        assert!(eve.approval(id).is_ok() && eve.answered(id).unwrap().is_none());
        // Nor where the run has it from: of the calls they see all but that.
        let told = |desk: &Desk| {
            let heard = desk.journal(&view.intent.id).unwrap();
            let list = heard.iter().find(|heard| heard.entry.call == "messages.list");
            (
                heard.len(),
                list.map(|heard| (heard.withheld, format!("{:?}", heard.entry).contains("Hello on"))),
            )
        };
        let (calls, list) = told(&ada);
        assert_eq!(told(&eve), (calls, list.map(|_| (true, false))));
        assert!(list.is_none_or(|list| list == (false, true)));
        decide(&ada, &view, Verdict::Approve).await.unwrap();
        follow(&host, &ada, &view).await.unwrap();
    }
    // What it has not read, it does not answer.
    let view = waiting(&host, &ada, "Unasked").await;
    assert_eq!(ada.answered(&view.pending().unwrap().approval.id).unwrap().unwrap(), []);
}
