//! Real mail, as it arrived. `COUNTERSIGN_TEST_MAIL` names a folder with the corpora; without it these tests say that they
//! are skipped, and pass.

use crate::support::Cli;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

fn corpus(name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("COUNTERSIGN_TEST_MAIL") else {
        eprintln!("SKIPPED: COUNTERSIGN_TEST_MAIL is not set");
        return None;
    };
    let folder = PathBuf::from(folder).join(name);
    assert!(folder.is_dir(), "{} is missing", folder.display());
    Some(folder)
}

#[test]
fn every_message_is_imported_and_importing_again_adds_nothing() {
    // Byte-identical messages are one: 34 files of `lkml` and one of `default` stand twice.
    for (name, read, distinct) in [("lkml", 210, 176), ("default", 53, 52), ("broken", 4, 4)] {
        let Some(folder) = corpus(name) else { return };
        let folder = folder.to_str().unwrap();
        let cli = Cli::new();
        let first = cli.json(0, &["mailbox", "import", folder]);
        assert_eq!(first["read"], read, "{name}");
        assert_eq!(first["added"], distinct, "{name}");
        assert_eq!(first["known"], read - distinct, "{name}");
        assert_eq!(first["broken"], serde_json::json!([]), "{name}");
        let second = cli.json(0, &["mailbox", "import", folder]);
        assert_eq!(second["added"], 0, "{name}");
        let listed = cli.json(0, &["mailbox", "list", "--limit", "1000"]);
        assert_eq!(listed["messages"].as_array().unwrap().len(), distinct, "{name}");
    }
}

/// A message counted without any of the host's code.
struct Counted {
    sender: String,
    at_ms: i64,
    unread: bool,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn count(folder: &Path) -> Vec<Counted> {
    let mut paths = Vec::new();
    files(folder, &mut paths);
    paths.sort();
    let mut known = HashSet::new();
    let mut counted = Vec::new();
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        if !known.insert(bytes.clone()) {
            continue;
        }
        let text: String = bytes.iter().map(|byte| *byte as char).collect();
        let header = text.split("\n\n").next().unwrap().replace("\n\t", " ").replace("\n ", " ");
        let field = |name: &str| {
            let line = header.lines().find(|line| line.to_lowercase().starts_with(name)).unwrap();
            line[name.len()..].trim().to_owned()
        };
        let from = field("from:");
        let sender = match from.rsplit_once('<') {
            Some((_, address)) => address.trim_end_matches('>').to_owned(),
            None => from.split_whitespace().next().unwrap().to_owned(),
        };
        let date = field("date:");
        let date = date.split(" (").next().unwrap();
        let at = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(date).unwrap();
        let flags = path.to_str().unwrap().rsplit_once(":2,").map_or("", |(_, flags)| flags).to_owned();
        counted.push(Counted { sender, at_ms: at.as_millisecond(), unread: !flags.contains('S') });
    }
    counted.sort_by_key(|message| std::cmp::Reverse(message.at_ms));
    counted
}

#[test]
fn the_digest_of_real_mail_agrees_with_an_independent_count() {
    for name in ["lkml", "default"] {
        let Some(folder) = corpus(name) else { return };
        let cli = Cli::new();
        cli.json(0, &["mailbox", "import", folder.to_str().unwrap()]);
        let agent = cli.install("inbox-digest", "messages.read");
        let done = cli.json(0, &["run", &agent, "digest"]);
        let items = done["card"]["items"].as_array().unwrap();

        let newest: Vec<_> = count(&folder).into_iter().take(100).collect();
        let unread = newest.iter().filter(|message| message.unread).count();
        assert_eq!(items[0]["title"], format!("{unread} unread"), "{name}");
        assert_eq!(items[0]["subtitle"], format!("of {} messages", newest.len()), "{name}");

        let mut senders = BTreeMap::<&str, usize>::new();
        newest.iter().for_each(|message| *senders.entry(&message.sender).or_default() += 1);
        let mut senders: Vec<_> =
            senders.into_iter().map(|(sender, count)| (sender.to_owned(), count)).collect();
        senders.sort_by_key(|(sender, count)| (std::cmp::Reverse(*count), sender.clone()));
        let expected: Vec<_> =
            senders.iter().take(5).map(|(sender, count)| (sender.clone(), count.to_string())).collect();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let shown: Vec<_> =
            items[1..=5].iter().map(|item| (text(&item["title"]), text(&item["metadata"]))).collect();
        assert_eq!(shown, expected, "{name}");
    }
}

#[test]
fn a_list_goes_on_behind_its_last_message_until_every_one_was_listed_once() {
    let cli = Cli::new();
    let mbox = crate::support::workspace().join("tests/cases/mail/r50-same-second.mbox");
    assert_eq!(cli.json(0, &["mailbox", "import", mbox.to_str().unwrap()])["added"], 250);
    let (mut seen, mut before) = (Vec::new(), None::<String>);
    loop {
        let mut arguments = vec!["mailbox", "list", "--limit", "100"];
        if let Some(before) = &before {
            arguments.extend(["--before", before]);
        }
        let page = cli.json(0, &arguments);
        let subjects = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["subject"].as_str().unwrap().to_owned());
        seen.extend(subjects);
        match page["next"].as_str() {
            Some(next) => before = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen.len(), 250);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 250);
    for verb in ["list", "sent"] {
        let refused = cli.run(&["mailbox", verb, "--before", "msg_nope"]);
        assert!(refused.code != 0 && refused.stderr.contains("UNKNOWN_ID"), "{refused:?}");
    }
}

#[test]
fn a_message_in_a_message_a_hundred_thousand_times_ends_no_import() {
    let cli = Cli::new();
    let nested = cli.scratch().join("nested.eml");
    let text = format!(
        "From: a@example.org\nSubject: nested\n{}",
        "Content-Type: message/rfc822\n\n".repeat(130_000)
    );
    std::fs::write(&nested, text).unwrap();
    assert_eq!(cli.json(0, &["mailbox", "import", nested.to_str().unwrap()])["added"], 1);
    let long = cli.scratch().join("long.eml");
    std::fs::write(
        &long,
        format!("Content-Type: text/plain; {}\nFrom: b@example.org\n\nx\n", "a=b; ".repeat(1 << 20)),
    )
    .unwrap();
    assert_eq!(cli.json(0, &["mailbox", "import", long.to_str().unwrap()])["added"], 1);
    let listed = cli.json(0, &["mailbox", "list"]);
    let senders: HashSet<_> = listed["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["from"].as_str().unwrap())
        .collect();
    assert_eq!(senders, HashSet::from(["a@example.org", "b@example.org"]));
}
