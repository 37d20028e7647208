//! The ways signed mail leaves by, against real servers and programs.

use crate::support::servers::{Dovecot, MailServer, PASSWORD, Shows, USER};
use countersign::approval::outbox::{Outcome, RETRY_MS};
use countersign::approval::{Action, BodyKind, Version, letter};
use countersign::authority::Capability;
use countersign::backends::command::Command;
use countersign::backends::smtp::Smtp;
use countersign::config::{Login, Password, Program, Submission, Tls};
use countersign::digest::Digest;
use countersign::tools::messages::{Parcel, Transport};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

const FROM: &str = "ada@example.test";

/// A letter with everything in it that a way might trip over.
const BODY: &str =
    "Grüße!\n.\n..\n.. two\n. x\n\nFrom here on: \u{1f4c8}, trailing space \n--\n\tx = 1\nSubject: none\n.\n";

fn letter(body: &str, to: &[&str]) -> Parcel {
    let action = Action {
        // Of which a body may hold any character: what is signed anew has neither tabs nor carriage returns.
        version: Version::V1,
        capability: Capability::MessagesSend,
        tenant: "main".into(),
        user: "local".into(),
        intent: "int_1".into(),
        run: 1,
        agent: Digest::of(b"agent"),
        from: FROM.into(),
        to: to.iter().map(|&to| to.to_owned()).collect(),
        cc: vec![],
        bcc: vec![],
        subject: "Umsätze, and a subject that is so long that it must be folded somewhere on its way".into(),
        body_kind: BodyKind::Text,
        body: body.into(),
    };
    let bytes = letter::render(&action, &letter::message_id("appr_1", &action), 1_700_000_000_000).unwrap();
    Parcel { from: FROM.into(), recipients: action.to, bytes }
}

/// A message of nothing but dots, which all ways treat in some way of their own.
fn dots(to: &[&str]) -> Parcel {
    let bytes = b"From: ada@example.test\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <1@example.test>\r\n\
        To: bob@example.test\r\n\r\n.\r\n..\r\n. x\r\n...\r\n\r\n.\r\n";
    Parcel { bytes: bytes.to_vec(), ..letter("", to) }
}

fn deliver(way: &dyn Transport, parcel: &Parcel) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async { way.deliver(parcel).await })
}

fn send(server: Submission, parcel: &Parcel) -> Outcome {
    deliver(&Smtp::new(server), parcel)
}

/// The outcome in one word of the tables below.
fn class(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Sent { .. } => "sent",
        Outcome::NotSent { again: true, .. } => "later",
        Outcome::NotSent { again: false, .. } => "never",
        Outcome::Uncertain { .. } => "uncertain",
    }
}

/// Why something was not sent and will not be.
#[track_caller]
fn never(outcome: Outcome) -> String {
    match outcome {
        Outcome::NotSent { why, again: false, .. } => why,
        other => panic!("{other:?}"),
    }
}

/// What a server does in the course of one dialogue, and what that means for a message to one and to two recipients. Where
/// `later` and `never` stand the server has got nothing, but in the rows of `dot`.
const TABLE: &str = "
    step      what happens       one        two

    none      -                  sent       sent

    greeting  421                later      later
    greeting  554                never      never
    greeting  354                never      never
    greeting  close              later      later
    greeting  slow               later      later
    greeting  garbage            later      later
    greeting  binary             later      later
    greeting  long               later      later
    greeting  endless            later      later
    greeting  disagreeing-lines  later      later
    greeting  many-lines         sent       sent
    greeting  ahead              never      never

    ehlo      421                later      later
    ehlo      550                never      never
    ehlo      close              later      later
    ehlo      slow               later      later
    ehlo      garbage            later      later
    ehlo      ahead              never      never

    starttls  454                later      later
    starttls  501                never      never
    starttls  close              later      later
    starttls  slow               later      later
    starttls  garbage            later      later
    starttls  ahead              never      never

    auth      454                later      later
    auth      535                never      never
    auth      354                never      never
    auth      echo               never      never
    auth      close              later      later
    auth      slow               later      later
    auth      garbage            later      later
    auth      ahead              never      never

    mail      451                later      later
    mail      550                never      never
    mail      354                never      never
    mail      echo               never      never
    mail      close              later      later
    mail      slow               later      later
    mail      long               later      later
    mail      ahead              never      never

    rcpt      450                later      later
    rcpt      550                never      never
    rcpt      354                never      never
    rcpt      echo               never      never
    rcpt      close              later      later
    rcpt      slow               later      later
    rcpt      garbage            later      later
    rcpt      many-lines         sent       sent
    rcpt      ahead              never      never

    data      451                later      later
    data      554                never      never
    data      250                never      never
    data      close              later      later
    data      slow               later      later
    data      garbage            later      later
    data      many-lines         sent       sent
    data      ahead              never      never

    dot       421                later      uncertain
    dot       451                later      uncertain
    dot       452                later      uncertain
    dot       554                never      uncertain
    dot       354                uncertain  uncertain
    dot       echo               never      uncertain
    dot       close              uncertain  uncertain
    dot       slow               uncertain  uncertain
    dot       garbage            uncertain  uncertain
    dot       binary             uncertain  uncertain
    dot       long               uncertain  uncertain
    dot       endless            uncertain  uncertain
    dot       disagreeing-lines  uncertain  uncertain
    dot       many-lines         sent       sent

    quit      421                sent       sent
    quit      close              sent       sent
    quit      slow               sent       sent
    quit      garbage            sent       sent
";

#[test]
fn what_a_server_does_at_each_step_has_one_meaning() {
    let Some(mut server) = MailServer::start() else { return };
    // As it is, and as it travels in LOGIN and in PLAIN.
    let secrets = [PASSWORD, "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5", "AGFkYQBjb3JyZWN0IGhvcnNlIGJhdHRlcnk="];
    let mut wrong = Vec::new();
    let mut received = 0;
    for row in TABLE.lines().map(|row| row.split_whitespace().collect::<Vec<_>>()) {
        let [step, action, expected @ ..] = &row[..] else { continue };
        if *step == "step" {
            continue;
        }
        let to = ["bob@example.test", "eve@example.test"];
        for (expected, to) in expected.iter().zip([&to[..1], &to[..]]) {
            server.fault(&format!("{step} {action}"));
            let mut submission = server.submission();
            if *action == "slow" {
                // Before the dot it does not matter where time runs out.
                submission.timeout = Duration::from_millis(if *step == "dot" { 4_000 } else { 200 });
            }
            if (*step, *action) == ("quit", "slow") {
                submission.timeout = Duration::from_secs(20);
            }
            let outcome = send(submission, &letter(BODY, to));
            let text = format!("{outcome:?}");
            if class(&outcome) != *expected {
                wrong.push(format!("{step} {action} to {}: {expected} was expected: {text}", to.len()));
            }
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "{step} {action}: {text}");
            assert!(text.len() < 1_000, "{step} {action}: {text}");
            received += usize::from(*expected == "sent" || *step == "dot");
            assert_eq!(server.received().len(), received, "{step} {action}: {text}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let one = letter(BODY, &["bob@example.test"]).bytes;
    assert_eq!(server.received()[0], one);
}

#[test]
fn the_signed_bytes_arrive_in_a_mailbox() {
    let Some(dovecot) = Dovecot::start() else { return };
    let lmtp = dovecot.lmtp.to_string();
    let arguments = ["--user", USER, "--password", PASSWORD, "--lmtp", &lmtp];
    let Some(server) = MailServer::with(Tls::Starttls, Shows::Localhost, &arguments) else { return };
    let bodies =
        ["dots", "", "Hello", "Hello\n", "a\r\nb\r", BODY, &"ü wide ".repeat(500), &".\n".repeat(3_000)];
    for (n, body) in bodies.into_iter().enumerate() {
        let name = format!("bob{n}");
        let to = format!("{name}@example.test");
        let parcel = if body == "dots" { dots(&[&to]) } else { letter(body, &[&to]) };
        let outcome = send(server.submission(), &parcel);
        assert_eq!(outcome, Outcome::Sent { said: format!("250 2.0.0 taken as {}", n + 1) });
        let mailbox = dovecot.mailbox(&name);
        assert_eq!(mailbox.len(), 1, "{name}");
        // On disk lines end in LF, and what Dovecot has to say stands in front.
        let stored = String::from_utf8(mailbox[0].clone()).unwrap().replace('\n', "\r\n");
        let signed = String::from_utf8(parcel.bytes).unwrap();
        let front = stored.strip_suffix(&signed).unwrap_or_else(|| panic!("{stored}\nis not\n{signed}"));
        for line in front.lines().filter(|line| !line.starts_with(['\t', ' '])) {
            let name = line.split(':').next().unwrap();
            assert!(["Return-Path", "Delivered-To", "Received"].contains(&name), "{line}");
        }
    }
    let envelope = &server.envelopes()[0];
    assert_eq!(envelope["from"], FROM);
    assert_eq!(envelope["to"], serde_json::json!(["bob0@example.test"]));
    assert_eq!(envelope["login"], true);
}

#[test]
fn if_one_recipient_is_refused_nobody_gets_the_message() {
    let Some(server) = MailServer::start() else { return };
    let rejected = |to: &[&str]| match send(server.submission(), &letter("Hello", to)) {
        Outcome::NotSent { why, again, rejected } => {
            (why, again, rejected.into_iter().map(|r| (r.address, r.why)).collect::<Vec<_>>())
        }
        other => panic!("{other:?}"),
    };
    let words = |address: &str, why: &str| (address.to_owned(), why.to_owned());
    let gone = words("never@example.test", "550 5.1.1 no such mailbox");
    let busy = words("later@example.test", "450 4.2.1 the mailbox is busy");
    let (why, again, who) = rejected(&["bob@example.test", "never@example.test", "later@example.test"]);
    assert_eq!(why, "the server refused 2 of 3 recipients");
    assert_eq!((again, who), (false, vec![gone, busy.clone()]));
    let (_, again, who) = rejected(&["later@example.test", "bob@example.test"]);
    assert_eq!((again, who), (true, vec![busy]));
    assert_eq!(server.received().len(), 0);
}

#[test]
fn mail_leaves_only_over_a_connection_that_shows_the_right_certificate() {
    for tls in [Tls::Tls, Tls::Starttls] {
        for (shows, expected) in [
            (Shows::Localhost, "sent"),
            (Shows::AnotherName, "certificate not valid for name"),
            (Shows::AnExpiredOne, "certificate expired"),
        ] {
            let arguments = ["--user", USER, "--password", PASSWORD];
            let Some(server) = MailServer::with(tls, shows, &arguments) else { return };
            let outcome = send(server.submission(), &letter("Hello", &["bob@example.test"]));
            match &outcome {
                Outcome::Sent { .. } => assert_eq!(expected, "sent", "{tls:?}"),
                _ => {
                    assert!(never(outcome.clone()).contains(expected), "{tls:?} {outcome:?}");
                    assert_eq!(server.received().len(), 0);
                }
            }
            if shows == Shows::Localhost {
                let unknown = Submission { ca_file: None, ..server.submission() };
                let why = never(send(unknown, &letter("Hello", &["bob@example.test"])));
                assert!(why.contains("UnknownIssuer"), "{why}");
                let missing = Submission { ca_file: Some("/nowhere/ca.pem".into()), ..server.submission() };
                let why = never(send(missing, &letter("Hello", &["bob@example.test"])));
                assert!(why.contains("cannot read the certificates in /nowhere/ca.pem"), "{why}");
                let none = Submission { ca_file: Some(server.password_file()), ..server.submission() };
                let why = never(send(none, &letter("Hello", &["bob@example.test"])));
                assert!(why.ends_with("there is none"), "{why}");
                assert_eq!(server.received().len(), 1);
            }
        }
    }
}

#[test]
fn the_words_of_a_server_are_kept_unless_they_repeat_the_password() {
    let Some(mut server) = MailServer::start() else { return };
    let mut why = |fault: &str| {
        server.fault(fault);
        never(send(server.submission(), &letter("Hello", &["bob@example.test"])))
    };
    assert_eq!(why("mail 550"), "MAIL FROM: the server said 550 said on request");
    assert_eq!(why("mail echo"), "MAIL FROM: the server said 550 (words that repeat the password)");
    assert_eq!(why("auth echo"), "the server refused name or password: 550");
    assert_eq!(why("dot 554"), "the message: the server said 554 said on request");
    let long = why("dot wordy");
    assert!(long.starts_with("the message: the server said 554 xxx") && long.len() < 350, "{long}");
}

#[test]
fn what_is_said_before_tls_is_not_believed_within_it() {
    // Somebody on the way appends to the last answer in plain text. Read ahead, it would be taken for the first within TLS.
    let Some(mut server) = MailServer::start() else { return };
    server.fault("starttls ahead");
    let why = never(send(server.submission(), &letter("Hello", &["bob@example.test"])));
    assert!(why.starts_with("STARTTLS: TLS: received corrupt message"), "{why}");
}

#[test]
fn plain_text_is_for_this_machine_and_without_a_password() {
    let parcel = letter(BODY, &["bob@example.test"]);
    let Some(server) = MailServer::with(Tls::None, Shows::Localhost, &[]) else { return };
    let login = Login { username: USER.into(), password: Password::File(server.password_file()) };
    // Somebody on the way has taken the offer out.
    let stripped = Submission { tls: Tls::Starttls, login: Some(login.clone()), ..server.submission() };
    assert_eq!(never(send(stripped, &parcel)), "localhost does not offer STARTTLS");
    let with_login = Submission { login: Some(login), ..server.submission() };
    assert_eq!(never(send(with_login, &parcel)), "a password is sent only over TLS");
    let elsewhere = Submission { host: "mail.example.test".into(), ..server.submission() };
    assert!(never(send(elsewhere, &parcel)).contains("only over TLS"));
    assert_eq!(server.received().len(), 0);
    assert_eq!(class(&send(server.submission(), &parcel)), "sent");
    assert_eq!(server.received(), [parcel.bytes]);
}

#[test]
fn a_password_is_read_when_it_is_needed_and_only_from_a_file_of_ones_own() {
    let Some(server) = MailServer::start() else { return };
    let parcel = letter("Hello", &["bob@example.test"]);
    let with = |password: Password| {
        let login = Login { username: USER.into(), password };
        send(Submission { login: Some(login), ..server.submission() }, &parcel)
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let from_file = || with(Password::File(file.clone()));
    assert!(never(from_file()).contains("cannot read the password in"));
    std::fs::write(&file, PASSWORD).unwrap();
    for (mode, expected) in [(0o644, "chmod 600"), (0o640, "chmod 600"), (0o602, "chmod 600")] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(never(from_file()).contains(expected), "{mode:o}");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(class(&from_file()), "sent");
    std::fs::write(&file, format!("{PASSWORD}\r\n")).unwrap();
    assert_eq!(class(&from_file()), "sent");
    std::fs::write(&file, "wrong\n").unwrap();
    assert_eq!(never(from_file()), "the server refused name or password: 535");
    std::fs::write(&file, "\n").unwrap();
    assert!(never(from_file()).contains("empty"));
    assert!(never(with(Password::File(folder.path().into()))).contains("is no file"));
    // Only root can give a file away.
    if std::os::unix::fs::chown(&file, Some(65533), None).is_ok() {
        assert!(never(from_file()).contains("belongs to another user"));
    }
    let unset = with(Password::Env("COUNTERSIGN_TEST_UNSET".into()));
    assert!(never(unset).contains("COUNTERSIGN_TEST_UNSET is not set"));
    assert_eq!(server.received().len(), 2);
}

#[test]
fn a_server_that_knows_only_login_is_logged_in_to_and_the_environment_may_hold_the_password() {
    // Cargo sets this for tests, and a test cannot set anything.
    let Ok(password) = std::env::var("CARGO_PKG_NAME") else { panic!("run by cargo") };
    let arguments = ["--user", USER, "--password", &password, "--without", "PLAIN"];
    let Some(server) = MailServer::with(Tls::Starttls, Shows::Localhost, &arguments) else { return };
    let login = Login { username: USER.into(), password: Password::Env("CARGO_PKG_NAME".into()) };
    let submission = Submission { login: Some(login), ..server.submission() };
    assert_eq!(class(&send(submission, &letter("Hello", &["bob@example.test"]))), "sent");
    assert_eq!(server.envelopes()[0]["login"], true);
    let neither = ["--user", USER, "--password", &password, "--without", "PLAIN", "--without", "LOGIN"];
    let Some(server) = MailServer::with(Tls::Starttls, Shows::Localhost, &neither) else { return };
    let why = never(send(server.submission(), &letter("Hello", &["bob@example.test"])));
    assert!(why.contains("PLAIN or LOGIN"), "{why}");
}

#[test]
fn a_server_that_is_not_there_is_tried_again() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = Submission {
        host: "127.0.0.1".into(),
        port: free,
        tls: Tls::None,
        login: None,
        ca_file: None,
        timeout: Duration::from_secs(20),
        retry_ms: RETRY_MS,
    };
    assert_eq!(class(&send(nobody, &letter("Hello", &["bob@example.test"]))), "later");
}

/// `sh` with this script; the options and recipients are its arguments.
fn script(script: &str) -> Program {
    let words = ["sh", "-c", script, "script", "-i", "-f", "{from}"];
    Program {
        command: words.map(str::to_owned).to_vec(),
        timeout: Duration::from_secs(60),
        retry_ms: RETRY_MS,
    }
}

fn run(program: Program, parcel: &Parcel) -> Outcome {
    deliver(&Command::new(program), parcel)
}

#[test]
fn a_program_gets_recipients_as_arguments_and_the_letter_on_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    // What a program could take for an option is no address.
    let option = letter(BODY, &["-oQ/tmp@example.test", "bob@example.test"]);
    assert!(never(run(script("echo taken"), &option)).contains("no address"));
    let parcel = letter(BODY, &["eve@example.test", "bob@example.test"]);
    let said = run(
        script(&format!("printf '%s\\n' \"$@\" > {at}/argv; cat > {at}/stdin; env > {at}/env; echo taken")),
        &parcel,
    );
    assert_eq!(said, Outcome::Sent { said: "taken".into() });
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("argv"), format!("-i\n-f\n{FROM}\n--\neve@example.test\nbob@example.test\n"));
    assert_eq!(read("stdin").replace('\n', "\r\n").into_bytes(), parcel.bytes);
    assert!(!read("env").contains("CARGO"), "{}", read("env"));
}

/// How a program ends, and what that means for a letter to one and to two recipients. `large` is a letter that fits into no
/// pipe, so that it is known whether all of it was taken.
#[rustfmt::skip]
const ENDS: &[[&str; 4]] = &[
    ["small", "sent",      "sent",      "cat > /dev/null"],
    ["small", "uncertain", "uncertain", "cat > /dev/null; exit 1"],
    ["small", "uncertain", "uncertain", "cat > /dev/null; exit 63"],
    ["small", "never",     "uncertain", "cat > /dev/null; exit 64"],
    ["small", "never",     "uncertain", "cat > /dev/null; exit 69"],
    ["small", "uncertain", "uncertain", "cat > /dev/null; exit 75"],
    ["small", "never",     "uncertain", "cat > /dev/null; exit 78"],
    ["small", "uncertain", "uncertain", "cat > /dev/null; exit 79"],
    ["small", "uncertain", "uncertain", "cat > /dev/null; kill -KILL $$"],
    ["small", "never",     "uncertain", "cat > /dev/null; yes no | head -c 1000000 >&2; exit 65"],
    ["small", "sent",      "sent",      "cat > /dev/null; exec > /dev/null 2>&1"],
    ["small", "sent",      "sent",      "cat > /dev/null; sleep 3 & exit 0"],
    ["large", "sent",      "sent",      "cat > /dev/null"],
    ["large", "uncertain", "uncertain", "exit 1"],
    ["large", "uncertain", "uncertain", "head -c 1000 > /dev/null; exit 75"],
    ["large", "uncertain", "uncertain", "cat /dev/stdin > /dev/null; exit 1"],
    ["large", "uncertain", "uncertain", "exit 0"],
    ["large", "uncertain", "uncertain", "kill -KILL $$"],
];

#[test]
fn how_a_program_ends_has_one_meaning() {
    let small = "Hello".to_owned();
    let large = "A line of text like any other.\n".repeat(10_000);
    for [size, one, two, line] in ENDS {
        let body = if *size == "large" { &large } else { &small };
        for (expected, to) in
            [(*one, &["bob@example.test"][..]), (*two, &["bob@example.test", "eve@example.test"][..])]
        {
            let outcome = run(script(line), &letter(body, to));
            assert_eq!(class(&outcome), expected, "{line} to {}: {outcome:?}", to.len());
            assert!(format!("{outcome:?}").len() < 1_000, "{line}");
        }
    }
}

#[test]
fn a_program_that_does_not_end_is_ended_and_what_it_did_is_uncertain() {
    let slow = Program { timeout: Duration::from_millis(500), ..script("exec sleep 600") };
    assert_eq!(class(&run(slow, &letter("Hello", &["bob@example.test"]))), "uncertain");
}

#[test]
fn a_program_that_cannot_be_started_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, "no program").unwrap();
    for command in [vec!["/nowhere/sendmail".to_owned()], vec![text.display().to_string()], vec![]] {
        let program = Program { command, timeout: Duration::from_secs(60), retry_ms: RETRY_MS };
        never(run(program, &letter("Hello", &["bob@example.test"])));
    }
}

#[test]
fn a_lone_dot_does_not_end_the_message_half_way() {
    let parcel =
        Parcel { bytes: b"Subject: x\r\n\r\na\r\n.\r\nb\r\n".to_vec(), ..letter("", &["bob@example.test"]) };
    let mut program = script("cat > /dev/null");
    assert_eq!(class(&run(program.clone(), &parcel)), "sent");
    program.command.retain(|word| word != "-i");
    assert!(never(run(program, &parcel)).contains("the option -i"));
}

#[test]
fn msmtp_hands_over_what_was_signed() {
    if !Path::new("/usr/bin/msmtp").exists() {
        eprintln!("SKIPPED: needs msmtp");
        return;
    }
    let Some(server) = MailServer::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("msmtprc");
    let (ca, port) = (server.ca_file(), server.port);
    let text = format!(
        "account default\nhost localhost\nport {port}\ntls on\ntls_starttls on\ntls_trust_file {}\n\
         auth plain\nuser {USER}\npassword \"{PASSWORD}\"\n",
        ca.display()
    );
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let words = ["/usr/bin/msmtp", "-C", file.to_str().unwrap(), "-i", "-f", "{from}"];
    let program = Program {
        command: words.map(str::to_owned).to_vec(),
        timeout: Duration::from_secs(60),
        retry_ms: RETRY_MS,
    };
    let bodies = ["dots", BODY, "Hello", "a\r\nb\r", "x\n\n\n"];
    for (n, body) in bodies.into_iter().enumerate() {
        let to = ["bob@example.test", "eve@example.test"];
        let parcel = if body == "dots" { dots(&to) } else { letter(body, &to) };
        let outcome = run(program.clone(), &parcel);
        assert_eq!(class(&outcome), "sent", "{outcome:?}");
        assert_eq!(server.received()[n], parcel.bytes, "{body:?}");
        assert_eq!(server.envelopes()[n]["to"], serde_json::json!(parcel.recipients));
    }
    let refused = run(program, &letter("Hello", &["never@example.test"]));
    assert!(never(refused).contains("no such mailbox"));
}
