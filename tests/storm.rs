//! Many intents at once over HTTP, and a server that is killed in the middle of them: what was accepted ends in exactly one state, what
//! left has left once, and who asks again with the same key hears of the same intent.
//!
//! `COUNTERSIGN_STORM=N` sets how many intents there are, and `COUNTERSIGN_KILLS=N` how often the server is killed.

#![allow(clippy::disallowed_methods, reason = "other processes are waited for by the wall clock")]

use crate::races::account;
use crate::support::server::{Beside, PATIENCE, Request, Server, Who, letter};
use crate::support::{Cli, guest};
use countersign::approval::PENDING_PER_AGENT;
use countersign::intent::Status;
use countersign::people::{Role, Scope, TENANT};
use countersign::store::{Only, Page};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many intents where nobody says.
const INTENTS: usize = 1_000;
/// How often the server is killed where nobody says.
const KILLS: usize = 5;
/// How many of them ask for a message, which is approved and sent: as many as one agent may have pending.
const LETTERS: usize = PENDING_PER_AGENT as usize;
/// How many are asking at any moment, at most.
const CLIENTS: usize = 200;

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Whether this one asks for a message.
fn is_letter(number: usize) -> bool {
    let every = number_of_intents() / LETTERS;
    number.is_multiple_of(every) && number / every < LETTERS
}

fn number_of_intents() -> usize {
    number("COUNTERSIGN_STORM", INTENTS).max(LETTERS)
}

fn order(agent: &str, number: usize) -> Value {
    let parameters = match is_letter(number) {
        true => letter(&format!("Report {number}")),
        false => {
            json!({ "steps": [{ "call": "clock" }], "card": { "type": "result", "title": format!("{number}") } })
        }
    };
    json!({ "agent": agent, "action": "script", "parameters": parameters })
}

#[test]
fn a_server_that_is_killed_loses_nothing_it_accepted_and_does_nothing_twice() {
    let (intents, kills) = (number_of_intents(), number("COUNTERSIGN_KILLS", KILLS));
    let cli = Cli::new();
    let beside = Beside::open(&cli);
    let operator = beside.person(TENANT, "olga", &[Role::Operator]);
    let ivan = beside.person(TENANT, "ivan", &[Role::Invoker]);
    let petra = beside.person(TENANT, "petra", &[Role::Approver]);
    let agent = beside.install(&operator, std::fs::read(guest("guest-script")).unwrap(), &[&ivan]);

    // Everybody comes back to the same address.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    let (accepted, over) = (Mutex::new(BTreeMap::new()), AtomicBool::new(false));
    let next = AtomicUsize::new(0);
    let mut server = Some(Server::listening(&cli, &address));
    thread::scope(|scope| {
        for _ in 0..CLIENTS.min(intents) {
            thread::Builder::new()
                .stack_size(256 << 10)
                .spawn_scoped(scope, || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= intents {
                            return;
                        }
                        let id = submit(port, &ivan, &order(&agent, number), number);
                        accepted.lock().unwrap().insert(number, id);
                    }
                })
                .unwrap();
        }
        // Somebody signs whatever is asked for, as fast as it comes.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                sign_all(port, &petra);
                thread::sleep(Duration::from_millis(50));
            }
        });
        // Each time a share of them was accepted, the server dies, whatever it is doing.
        for kill in 1..=kills {
            let began = Instant::now();
            while accepted.lock().unwrap().len() < intents * kill / (kills + 1) {
                assert!(began.elapsed() < PATIENCE, "the server accepts no more");
                thread::sleep(Duration::from_millis(5));
            }
            server.take().unwrap().kill();
            server = Some(Server::listening(&cli, &address));
        }
        let began = Instant::now();
        let mut open = Vec::new();
        while accepted.lock().unwrap().len() < intents || {
            open = unsettled(&beside);
            !open.is_empty()
        } {
            if began.elapsed() > PATIENCE {
                over.store(true, Ordering::Relaxed);
                panic!("after {PATIENCE:?} these have not ended: {open:?}");
            }
            thread::sleep(Duration::from_millis(100));
        }
        over.store(true, Ordering::Relaxed);
    });

    let accepted = accepted.into_inner().unwrap();
    // Who asks once more, hears of the same intent; and of no other, whatever else they ask.
    for (number, id) in accepted.iter().step_by(17) {
        assert_eq!(&submit(port, &ivan, &order(&agent, *number), *number), id);
        let other = post(port, &ivan, &order(&agent, number + 1), *number).unwrap();
        assert_eq!((other.0, other.1["code"].as_str()), (422, Some("IDEMPOTENCY_CONFLICT")), "{other:?}");
    }
    assert!(server.take().unwrap().stop().success());

    let host = &beside.host;
    let everybody = Scope { tenant: TENANT, user: None };
    let stored = host.intents(everybody, Only::default(), Page { before: None, limit: 1000 }).unwrap();
    if intents <= 1000 {
        let ids: BTreeSet<_> = stored.iter().map(|intent| intent.id.clone()).collect();
        assert_eq!(
            ids,
            accepted.values().cloned().collect(),
            "an intent nobody was told of, or none for one who was told"
        );
    }
    assert_eq!(accepted.values().collect::<BTreeSet<_>>().len(), intents, "two keys have one intent");
    for (number, id) in &accepted {
        let view = host.show(everybody, id).unwrap();
        assert_eq!(view.intent.status, Status::Done, "{number}: {:?}", view.intent.reason);
        assert_eq!(view.approvals.len(), usize::from(is_letter(*number)), "{number}");
        let calls: Vec<_> =
            host.journal(everybody, id).unwrap().into_iter().map(|entry| entry.call).collect();
        assert_eq!(
            calls.len(),
            if is_letter(*number) { 2 } else { calls.len().min(4) },
            "{number}: {calls:?}"
        );
    }
    let sent = host.sent(ivan.owner()).unwrap();
    let mut subjects = HashMap::new();
    for sent in &sent {
        *subjects.entry(sent.action.subject.clone()).or_insert(0) += 1;
    }
    let wanted: HashMap<_, _> = (0..intents)
        .filter(|number| is_letter(*number))
        .map(|number| (format!("Report {number}"), 1))
        .collect();
    assert_eq!(subjects, wanted);
    let mut entries = Vec::new();
    host.each_audit_entry(TENANT, |_, entry| {
        entries.push(entry);
        Ok(())
    })
    .unwrap();
    assert_eq!(account(&sent, &entries, &host.audit(TENANT, None).unwrap()), wanted.len());
}

/// Asks until it is accepted, as a client does that keeps its key: the id of the intent.
fn submit(port: u16, who: &Who, order: &Value, number: usize) -> String {
    let began = Instant::now();
    loop {
        match post(port, who, order, number) {
            Some((200 | 201, ran)) => return ran["intent"].as_str().unwrap().to_owned(),
            // Too many at once, or the server is on its way down: both say to come back.
            Some((429 | 503, _)) | None => {}
            Some(other) => panic!("{number}: {other:?}"),
        }
        assert!(began.elapsed() < PATIENCE, "{number} is not accepted");
        thread::sleep(Duration::from_millis(20));
    }
}

/// `None` where the server is dead, or died.
fn post(port: u16, who: &Who, order: &Value, number: usize) -> Option<(u16, Value)> {
    let request = Request::new("POST", "/v1/intents")
        .bearer(&who.token)
        .and("Idempotency-Key", &format!("order-{number}"));
    let reply = request.json(order).send(port).ok()?;
    Some((reply.status, reply.json()))
}

fn sign_all(port: u16, who: &Who) {
    let get = |path: &str| Request::new("GET", path).bearer(&who.token).send(port).ok();
    let Some(listed) = get("/v1/approvals?state=pending&limit=100").filter(|reply| reply.status == 200)
    else {
        return;
    };
    for approval in listed.json()["approvals"].as_array().into_iter().flatten() {
        let path = format!("/v1/approvals/{}/decision", approval["id"].as_str().unwrap());
        let verdict = json!({ "verdict": "approve", "digest": approval["digest"] });
        // Whatever comes of it is seen in the end: the server may die at any moment here, too.
        let _ = Request::new("POST", &path).bearer(&who.token).json(&verdict).send(port);
    }
}

/// The intents that have not ended, as they stand on disk.
fn unsettled(beside: &Beside) -> Vec<String> {
    let everybody = Scope { tenant: TENANT, user: None };
    let page = Page { before: None, limit: 1000 };
    let stored = beside.host.intents(everybody, Only::default(), page).unwrap();
    let open = stored.iter().filter(|intent| !intent.status.is_final());
    open.map(|intent| format!("{} {:?}", intent.id, intent.status)).collect()
}
