//! What several people at one host can and cannot do: tenants, roles, keys, lists, and a host that goes on.

use crate::support::{guest, workspace};
use countersign::approval::four_eyes::{FourEyes, Whom};
use countersign::approval::{Policy, Verdict};
use countersign::authority::Capability;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::desk::Desk;
use countersign::engine::limits::Limits;
use countersign::host::{Edit, Host, Install, Options, Order, View};
use countersign::intent::Status;
use countersign::people::{Deed, Person, Role};
use countersign::refusals::{Code, Error, Result};
use countersign::store::{Only, Page};
use serde_json::{Map, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

pub const AGENT: &str = "com.example.agent.script";

pub fn host(folder: &Path) -> Arc<Host> {
    let (clock, limits) = (Arc::new(Clock::system()), Limits::default());
    let cache = Some(workspace().join("target/test-cache/countersign"));
    let (data, config) = (folder.to_owned(), Config::default());
    Arc::new(Host::open(Options { data, config, clock, cache, limits, in_memory: false }).unwrap())
}

pub fn desk(host: &Arc<Host>, tenant: &str, name: &str, roles: &[Role]) -> Desk {
    let roles: BTreeSet<_> = roles.iter().copied().collect();
    Desk::new(
        host.clone(),
        Person { tenant: tenant.into(), name: name.into(), roles, through: "browser".into() },
    )
}

pub async fn install(desk: &Desk) {
    let manifest = json!({
        "id": AGENT, "name": "Script", "version": "1.0.0", "description": "Does as it is told.",
        "capabilities": ["messages.read", "messages.send"]
    });
    let grants = vec![Capability::MessagesSend];
    let how = Install { manifest: Some(manifest.to_string()), grants, ..Install::default() };
    desk.install(std::fs::read(guest("guest-script-bare")).unwrap(), how).await.unwrap();
}

/// Asks, and sends what was approved.
pub fn order(subject: &str) -> Order {
    let ask = json!({"action": "send_message", "title": "Report", "description": "The report."});
    let message = json!({"to": ["team@company.com"], "subject": subject, "body": "All is well."});
    let steps =
        json!([{"call": "approval.request", "with": ask}, {"call": "messages.send", "with": message}]);
    let parameters = Map::from_iter([("steps".to_owned(), steps)]);
    Order { agent: AGENT.into(), action: "script".into(), parameters, text: None, retry_of: None }
}

/// Drives the run of an intent this person may have picked up, as a server does.
pub async fn resume(host: &Host, desk: &Desk, id: &str) -> Result<View> {
    let place = desk.place(id)?;
    host.resume(place.owner(), &place.intent).await
}

/// Drives the run of an approval this person has decided, as a server does.
pub async fn follow(host: &Host, desk: &Desk, view: &View) -> Result<View> {
    let place = desk.decided(&view.pending().unwrap().approval.id)?;
    host.resume(place.owner(), &place.intent).await
}

pub async fn waiting(host: &Host, desk: &Desk, subject: &str) -> View {
    let accepted = desk.submit(order(subject), None).await.unwrap();
    let view = resume(host, desk, &accepted.intent).await.unwrap();
    assert_eq!(view.intent.status, Status::Waiting);
    view
}

pub fn code<T>(result: Result<T>) -> Code {
    match result {
        Err(Error::Refused(problem)) => problem.code,
        Err(Error::Fault(fault)) => panic!("{fault:#}"),
        Ok(_) => panic!("it was not refused"),
    }
}

pub async fn decide(desk: &Desk, view: &View, verdict: Verdict) -> Result<()> {
    let pending = &view.pending().unwrap().approval;
    desk.decide(&pending.id, verdict, pending.digest, None).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_ids_look_like_ids_that_do_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder.path().join("data"));
    let (ours, theirs) = (desk(&host, "main", "ada", &Role::ALL), desk(&host, "acme", "ada", &Role::ALL));
    install(&ours).await;
    assert_eq!(code(theirs.agent(AGENT)), Code::UnknownId);
    let view = waiting(&host, &ours, "Ours").await;
    let (intent, approval) = (view.intent.id.clone(), view.pending().unwrap().approval.clone());
    assert!(theirs.intents(Only::default(), Page::default()).unwrap().is_empty());
    assert!(theirs.approvals(false, Page::default()).unwrap().is_empty());
    assert_eq!(theirs.pending(10).unwrap(), 0);
    // What is said of an id of theirs is what is said of an id of nobody, but for the id.
    let told = |error: Result<()>, id: &str| match error {
        Err(Error::Refused(problem)) => format!("{problem:?}").replace(id, "ID"),
        other => panic!("{other:?}"),
    };
    for id in [&intent, "int_0"] {
        let all = [
            told(theirs.show(id).map(drop), id),
            told(theirs.cancel(id).await.map(drop), id),
            told(resume(&host, &theirs, id).await.map(drop), id),
            told(theirs.retry(id, None).await.map(drop), id),
            told(theirs.journal(id).map(drop), id),
        ];
        assert_eq!(BTreeSet::from(all.clone()).len(), 1, "{all:?}");
        assert_eq!(all[0], told(theirs.show("int_9").map(drop), "int_9"));
    }
    for id in [&approval.id, "appr_0"] {
        let all = [
            told(theirs.approval(id).map(drop), id),
            told(theirs.decide(id, Verdict::Approve, approval.digest, None).await.map(drop), id),
            told(theirs.take_back(id).await.map(drop), id),
        ];
        assert_eq!(BTreeSet::from(all.clone()).len(), 1, "{all:?}");
    }
    // Not even as the place in a list behind which to go on.
    let behind = |id: &str| {
        let page = Page { before: Some(id), limit: 10 };
        told(theirs.intents(Only::default(), page).map(drop), id)
    };
    assert_eq!(behind(&intent), behind("int_0"));
    // Their audit is another chain, and tells nothing of ours.
    decide(&ours, &view, Verdict::Decline).await.unwrap();
    let mut told = String::new();
    theirs
        .each_audit_entry(|_, entry| {
            let _ = writeln!(told, "{}", entry.body);
            Ok(())
        })
        .unwrap();
    assert!(!told.contains("appr_"), "{told}");
    assert_eq!(theirs.audit(None).unwrap().broken, None);
    assert_eq!(ours.audit(None).unwrap().broken, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_decides_for_everybody_in_the_tenant_and_an_invoker_sees_only_what_is_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder.path().join("data"));
    let ada = desk(&host, "main", "ada", &[Role::Operator, Role::Invoker]);
    let bob = desk(&host, "main", "bob", &[Role::Invoker]);
    let eve = desk(&host, "main", "eve", &[Role::Approver]);
    install(&ada).await;
    let view = waiting(&host, &ada, "Ada's").await;
    assert_eq!(code(bob.show(&view.intent.id)), Code::UnknownId);
    assert_eq!(code(decide(&bob, &view, Verdict::Approve).await), Code::Forbidden);
    assert_eq!(code(decide(&ada, &view, Verdict::Approve).await), Code::Forbidden);
    assert_eq!(code(eve.submit(order("Eve's"), None).await), Code::Forbidden);
    decide(&eve, &view, Verdict::Approve).await.unwrap();
    let done = follow(&host, &eve, &view).await.unwrap();
    assert_eq!(done.intent.status, Status::Done);
    assert_eq!(done.approvals[0].decided.as_ref().unwrap().by, "eve/browser");
    // It left as Ada's, whoever signed it.
    assert_eq!(ada.sent().unwrap()[0].action.from, "ada@localhost");
    // Bob has granted nothing: the agent he asks cannot send as him.
    let accepted = bob.submit(order("Bob's"), None).await.unwrap();
    let ended = resume(&host, &bob, &accepted.intent).await.unwrap();
    assert!(ended.approvals.is_empty());
    let heard = format!("{:?}", bob.journal(&accepted.intent).unwrap());
    assert!(heard.contains("CapabilityDenied"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_installed_an_agent_does_not_approve_it_where_another_approver_can() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder.path().join("data"));
    let ada = desk(&host, "main", "ada", &Role::ALL);
    install(&ada).await;
    // Alone, she signs her own mail.
    let view = waiting(&host, &ada, "Alone").await;
    decide(&ada, &view, Verdict::Approve).await.unwrap();
    let invited = ada.invite("eve", Some(BTreeSet::from([Role::Approver]))).await.unwrap();
    let view = waiting(&host, &ada, "Invited").await;
    decide(&ada, &view, Verdict::Approve).await.unwrap();
    // From when the other one can sign in on.
    host.join(None, invited.secret.text(), "correct horse battery").await.unwrap();
    let view = waiting(&host, &ada, "Together").await;
    assert_eq!(code(decide(&ada, &view, Verdict::Approve).await), Code::SelfApproval);
    // To say no needs nobody else.
    decide(&ada, &view, Verdict::Decline).await.unwrap();
    let view = waiting(&host, &ada, "Together again").await;
    decide(&desk(&host, "main", "eve", &[Role::Approver]), &view, Verdict::Approve).await.unwrap();
    ada.remove_person("eve").await.unwrap();
    let view = waiting(&host, &ada, "Alone again").await;
    decide(&ada, &view, Verdict::Approve).await.unwrap();
}

/// What is in force where a second person signs for these.
fn four_eyes(everybody: bool, of: &[&str]) -> Config {
    let of = of.iter().map(|text| Whom::read(text).unwrap()).collect();
    Config {
        policy: Policy { four_eyes: FourEyes { everybody, of }, ..Policy::default() },
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_second_person_signs_whoever_asked_does_not_and_hears_who_can() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder.path().join("data"));
    let ada = desk(&host, "main", "ada", &Role::ALL);
    install(&ada).await;
    host.reload(four_eyes(true, &[])).unwrap();
    let hint = |decided: Result<_>| match decided {
        Err(Error::Refused(problem)) => (problem.code, problem.hint.unwrap_or_default()),
        other => panic!("{other:?}"),
    };
    // Alone she cannot, through whatever she tries.
    let view = waiting(&host, &ada, "Alone").await;
    for through in ["browser", "tok_1"] {
        let person = Person { through: through.into(), ..ada.person().clone() };
        let (code, hint) = hint(decide(&Desk::new(host.clone(), person), &view, Verdict::Approve).await);
        assert!(code == Code::FourEyes && hint.contains("nobody else can decide here"), "{hint}");
    }
    // To say no takes one.
    decide(&ada, &view, Verdict::Decline).await.unwrap();
    let invited = ada.invite("eve", Some(BTreeSet::from([Role::Approver]))).await.unwrap();
    host.join(None, invited.secret.text(), "correct horse battery").await.unwrap();
    let eve = desk(&host, "main", "eve", &[Role::Approver]);
    let view = waiting(&host, &ada, "Together").await;
    let (code, hint) = hint(decide(&ada, &view, Verdict::Approve).await);
    assert_eq!((code, &*hint), (Code::FourEyes, "let another approver decide: eve"));
    decide(&eve, &view, Verdict::Approve).await.unwrap();
    // Whoever writes another message does not sign that: then it is the other one's to sign, where they have not asked.
    let view = waiting(&host, &ada, "Rewritten").await;
    let (id, shown) = (view.pending().unwrap().approval.id.clone(), view.pending().unwrap().approval.digest);
    let edit = Edit { body: Some("Something else altogether.".into()), ..Edit::default() };
    eve.edit(&id, edit, shown).await.unwrap();
    let view = ada.show(&view.intent.id).unwrap();
    for person in [&eve, &ada] {
        assert_eq!(self::code(decide(person, &view, Verdict::Approve).await), Code::FourEyes);
    }
    let fay = desk(&host, "main", "fay", &[Role::Approver]);
    decide(&fay, &view, Verdict::Approve).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_signs_for_the_tenants_agents_and_accounts_the_operator_names() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder.path().join("data"));
    install(&desk(&host, "main", "ada", &Role::ALL)).await;
    // Somebody who has installed nothing.
    let bob = desk(&host, "main", "bob", &[Role::Invoker, Role::Approver]);
    bob.grant(AGENT, &[Capability::MessagesSend]).await.unwrap();
    let agent = format!("agent:{AGENT}");
    for (number, whom) in ["tenant:main", &agent, "account:Bob@localhost"].into_iter().enumerate() {
        host.reload(four_eyes(false, &[whom])).unwrap();
        let view = waiting(&host, &bob, &format!("Held {number}")).await;
        assert_eq!(code(decide(&bob, &view, Verdict::Approve).await), Code::FourEyes, "{whom}");
    }
    host.reload(four_eyes(false, &["tenant:acme", "agent:com.example.other", "account:ada@localhost"]))
        .unwrap();
    let view = waiting(&host, &bob, "Not held").await;
    decide(&bob, &view, Verdict::Approve).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_signs_only_where_that_was_said_and_then_it_is_told_that_a_program_did() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder.path().join("data"));
    let ada = desk(&host, "main", "ada", &Role::ALL);
    ada.invite("ada", Some(BTreeSet::from(Role::ALL))).await.unwrap();
    install(&ada).await;
    let plain = ada.make_token("plain", None, 1).await.unwrap();
    let unnamed: BTreeSet<_> = Role::ALL.into_iter().filter(|role| *role != Role::Approver).collect();
    assert_eq!(plain.row.roles, unnamed);
    let signs = BTreeSet::from([Role::Approver]);
    let signing = ada.make_token("nightly", Some(signs.clone()), 1).await.unwrap().row;
    assert_eq!(signing.roles, signs);
    let program = Person { through: signing.id.clone(), ..ada.person().clone() };
    let view = waiting(&host, &ada, "By a program").await;
    decide(&Desk::new(host.clone(), program), &view, Verdict::Approve).await.unwrap();
    let id = &view.pending().unwrap().approval.id;
    let told = format!("a program with ada's token \"nightly\" ({})", signing.id);
    assert_eq!(ada.approval(id).unwrap().decided_by().as_deref(), Some(&*told));
    let again = decide(&ada, &view, Verdict::Approve).await.unwrap_err().to_string();
    assert!(again.contains(&format!("was approved by {told} at")), "{again}");
    // Its label is gone with it; that it was a program is not.
    ada.revoke_token(&signing.id).await.unwrap();
    let told = format!("a program with ada's token {}", signing.id);
    assert_eq!(ada.approval(id).unwrap().decided_by().as_deref(), Some(&*told));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_under_the_same_key_is_the_same_intent() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder.path().join("data"));
    let (ada, bob) = (desk(&host, "main", "ada", &Role::ALL), desk(&host, "main", "bob", &Role::ALL));
    install(&ada).await;
    let key = || Some("4f1c".to_owned());
    let first = ada.submit(order("One"), key()).await.unwrap();
    let again = ada.submit(order("One"), key()).await.unwrap();
    assert_eq!((first.again, again.again), (false, true));
    assert_eq!(first.intent, again.intent);
    assert_eq!(code(ada.submit(order("Two"), key()).await), Code::IdempotencyConflict);
    let text = Order { text: Some(String::new()), ..order("One") };
    assert_eq!(code(ada.submit(text, key()).await), Code::IdempotencyConflict);
    assert_ne!(bob.submit(order("One"), key()).await.unwrap().intent, first.intent);
    assert_eq!(ada.intents(Only::default(), Page::default()).unwrap().len(), 2);
    for bad in ["", "a b", "ä", &"k".repeat(256)] {
        assert_eq!(code(ada.submit(order("One"), Some(bad.to_owned())).await), Code::InvalidParameter);
    }
    // At once, from many places: one intent.
    let many: Vec<_> = (0..32)
        .map(|_| {
            let ada = ada.clone();
            tokio::spawn(async move { ada.submit(order("Many"), Some("many".into())).await.unwrap() })
        })
        .collect();
    let mut intents = BTreeSet::new();
    let mut new = 0;
    for one in many {
        let accepted = one.await.unwrap();
        new += usize::from(!accepted.again);
        intents.insert(accepted.intent);
    }
    assert_eq!((intents.len(), new), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_on_where_it_ended_and_shows_every_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder.path().join("data"));
    let ada = desk(&host, "main", "ada", &Role::ALL);
    install(&ada).await;
    for number in 0..7 {
        let view = waiting(&host, &ada, &format!("Number {number}")).await;
        decide(&ada, &view, if number % 2 == 0 { Verdict::Approve } else { Verdict::Decline }).await.unwrap();
        follow(&host, &ada, &view).await.unwrap();
    }
    let walk = |next: &dyn Fn(Page<'_>) -> Vec<String>| {
        let (mut all, mut before) = (Vec::new(), None::<String>);
        loop {
            let page = next(Page { before: before.as_deref(), limit: 2 });
            assert!(page.len() <= 2);
            let Some(last) = page.last() else { return all };
            before = Some(last.clone());
            all.extend(page);
        }
    };
    let ids = |intents: Vec<countersign::intent::Intent>| intents.into_iter().map(|it| it.id).collect();
    let intents = walk(&|page| ids(ada.intents(Only::default(), page).unwrap()));
    assert_eq!(intents, ids(ada.intents(Only::default(), Page::default()).unwrap()));
    assert_eq!(intents.len(), 7);
    let approvals =
        walk(&|page| ada.approvals(false, page).unwrap().into_iter().map(|it| it.approval.id).collect());
    assert_eq!(BTreeSet::from_iter(&approvals).len(), 7);
    let outbox = walk(&|page| ada.outbox(false, page).unwrap().into_iter().map(|it| it.approval).collect());
    assert_eq!(BTreeSet::from_iter(&outbox).len(), 4);
    let only = Only { status: Some(Status::Cancelled), agent: None, failed: false };
    assert!(ada.intents(only, Page::default()).unwrap().is_empty());
    let only = Only { status: Some(Status::Done), agent: Some(AGENT), failed: false };
    assert_eq!(ada.intents(only, Page::default()).unwrap().len(), 7);
    let only = Only { status: None, agent: Some("com.example.other"), failed: false };
    assert!(ada.intents(only, Page::default()).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_down_is_found_and_goes_on_and_a_closed_host_begins_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let before = host(&data);
    let ada = desk(&before, "main", "ada", &Role::ALL);
    install(&ada).await;
    let accepted = ada.submit(order("Later"), None).await.unwrap();
    before.close();
    assert_eq!(code(resume(&before, &ada, &accepted.intent).await), Code::ShuttingDown);
    before.idle().await;
    assert_eq!(before.interrupted().unwrap()[0].intent, accepted.intent);
    drop((ada, before));
    let after = host(&data);
    let found = after.interrupted().unwrap();
    assert_eq!(found.len(), 1);
    let view = after.resume(found[0].owner(), &found[0].intent).await.unwrap();
    assert_eq!(view.intent.status, Status::Waiting);
    assert!(after.interrupted().unwrap().is_empty());
    assert!(after.due().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_configuration_holds_from_the_moment_it_is_put_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder.path().join("data"));
    let ada = desk(&host, "main", "ada", &Role::ALL);
    install(&ada).await;
    let view = waiting(&host, &ada, "Before").await;
    let file = folder.path().join("strict.toml");
    std::fs::write(&file, "[approval]\npolicy = \"strict\"\nrecipients = [\"*@example.org\"]\n").unwrap();
    host.reload(Config::load(&file).unwrap()).unwrap();
    assert_eq!(code(decide(&ada, &view, Verdict::Approve).await), Code::PolicyForbids);
    host.reload(Config::default()).unwrap();
    decide(&ada, &view, Verdict::Approve).await.unwrap();
    let mut policies = 0;
    ada.each_audit_entry(|_, entry| {
        policies += usize::from(entry.kind == "policy");
        Ok(())
    })
    .unwrap();
    assert_eq!(policies, 3);
}

#[test]
fn every_deed_takes_the_roles_of_the_committed_table() {
    let mut table = String::from("# Who may do what. `BLESS=1 cargo test` writes this anew.\n");
    for deed in Deed::ALL {
        let may = |role: &Role| {
            let roles = BTreeSet::from([*role]);
            let person =
                Person { tenant: "main".into(), name: "ada".into(), roles, through: "browser".into() };
            if person.may(deed) { role.name() } else { "-" }
        };
        let cells: Vec<_> = Role::ALL.iter().map(|role| format!("{:<9}", may(role))).collect();
        let _ = writeln!(table, "{:<14} {}", format!("{deed:?}"), cells.join(" ").trim_end());
    }
    let path = workspace().join("tests/roles.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), table, "run with BLESS=1");
}

#[tokio::test]
async fn nobody_without_a_role_can_do_anything() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(&folder.path().join("data"));
    let nobody = desk(&host, "main", "ada", &[]);
    let refused = [
        code(nobody.agents()),
        code(nobody.agent(AGENT)),
        code(nobody.install(Vec::new(), Install::default()).await),
        code(nobody.remove(AGENT).await),
        code(nobody.grant(AGENT, &[]).await),
        code(nobody.revoke(AGENT, &[], None).await),
        code(nobody.revoke(AGENT, &[], Some("bob")).await),
        code(nobody.submit(order("No"), None).await),
        code(nobody.retry("int_0", None).await),
        code(nobody.place("int_0")),
        code(nobody.cancel("int_0").await),
        code(nobody.intents(Only::default(), Page::default())),
        code(nobody.show("int_0")),
        code(nobody.journal("int_0")),
        code(nobody.approvals(true, Page::default())),
        code(nobody.pending(1)),
        code(nobody.approval("appr_0")),
        code(nobody.decided("appr_0")),
        code(nobody.take_back("appr_0").await),
        code(nobody.outbox(false, Page::default())),
        code(nobody.outgoing("appr_0")),
        code(nobody.deliver().await),
        code(nobody.sent()),
        code(nobody.audit(None)),
        code(nobody.each_audit_entry(|_, _| Ok(()))),
        code(nobody.people()),
        code(nobody.invite("bob", None).await),
        code(nobody.set_roles("bob", &BTreeSet::new()).await),
        code(nobody.remove_person("bob").await),
    ];
    assert!(refused.iter().all(|code| *code == Code::Forbidden), "{refused:?}");
}
