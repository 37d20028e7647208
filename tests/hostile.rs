//! Agents that mean harm.

use crate::support::{guest, workspace};
use countersign::authority::Capability;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::engine::limits::Limits;
use countersign::host::{Host, Install, Options, View};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn explore() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::open(Options {
        data: folder.path().join("data"),
        config: Config::default(),
        clock: Arc::new(Clock::system()),
        cache: Some(workspace().join("target/test-cache/countersign")),
        limits: Limits { fuel_max: 20_000_000, wall_max: Duration::from_secs(60) },
        in_memory: true,
    })
    .unwrap();
    let bytes = std::fs::read(guest("guest-misbehaving")).unwrap();
    let how =
        Install { grants: vec![Capability::MessagesRead, Capability::MessagesSend], ..Install::default() };
    host.install("local", bytes, how, "t").await.unwrap();

    let t = std::time::Instant::now();
    let mut view =
        host.submit("local", "test.agent.misbehaving", "ask_storm", Map::new(), None).await.unwrap();
    let mut n = 0;
    while let Some(stored) = view.pending() {
        n += 1;
        let t = std::time::Instant::now();
        host.decide(
            "local",
            &stored.approval.id,
            countersign::approval::Verdict::Decline,
            stored.approval.digest,
            "t",
            None,
        )
        .await
        .unwrap();
        let id = view.intent.id.clone();
        view = host.resume("local", &id).await.unwrap();
        if n % 10 == 0 || n > 60 {
            println!("{n}: {:?} {:?}", view.intent.status, t.elapsed());
        }
    }
    println!(
        "{:?} {n} {:?} {:?} fuel {} journal {}",
        t.elapsed(),
        view.intent.status,
        view.intent.reason,
        view.intent.fuel,
        host.journal("local", &view.intent.id).unwrap().len()
    );
    for n in 0..22 {
        let t = std::time::Instant::now();
        view = host.submit("local", "test.agent.misbehaving", "ask_storm", Map::new(), None).await.unwrap();
        println!(
            "{n}: {:?} {:?} {:?} fuel {} journal {}",
            view.intent.status,
            t.elapsed(),
            view.intent.reason,
            view.intent.fuel,
            host.journal("local", &view.intent.id).unwrap().len()
        );
    }
    let _: (View, Value) = (view, json!(0));
}
