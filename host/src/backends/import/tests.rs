use super::*;
use crate::tools::messages::Query;

fn letter(fields: &str) -> Letter {
    reading::read(format!("{fields}\n\nx\n").as_bytes(), true).unwrap()
}

const DAY: Millis = 24 * 60 * 60 * 1000;
/// 2024-03-15T14:30:00Z
const DATED: Millis = 1_710_513_000_000;

#[test]
fn a_message_is_dated_by_its_writer_and_else_by_who_took_it_in() {
    let date = "Date: Fri, 15 Mar 2024 14:30:00 +0000";
    let received = |day: u32| {
        format!(
            "Received: from a by b; Fri, {day} Mar 2024 14:30:00 +0000\nReceived: x; Mon, 1 Jan 2001 00:00 +0000"
        )
    };
    let arrived = Arrived { delivered_ms: Some(DATED + 5), modified_ms: Some(DATED + 6) };
    let now = DATED + 100 * DAY;
    let cases = [
        ("its own date", date.to_owned(), DATED),
        ("received later", format!("{date}\n{}", received(20)), DATED),
        (
            "clocks differ",
            format!("Date: Sat, 16 Mar 2024 10:30:00 +0000\n{}", received(15)),
            DATED + DAY * 5 / 6,
        ),
        (
            "dated long after it was received",
            format!("Date: Wed, 15 Mar 2124 14:30:00 +0000\n{}", received(15)),
            DATED,
        ),
        ("no date", format!("Subject: x\n{}", received(15)), DATED),
        ("no date that is one", format!("Date: Sat, 31 Feb 2024 12:00:00 +0000\n{}", received(15)), DATED),
        (
            "a server's date that is none",
            format!("Subject: x\nReceived: x; never\n{}", received(15)),
            DATED + 5,
        ),
        (
            "a server's date in the future",
            "Subject: x\nReceived: x; Wed, 15 Mar 2124 14:30:00 +0000".into(),
            DATED + 5,
        ),
        ("nothing but a future", "Date: Wed, 15 Mar 2124 14:30:00 +0000".into(), DATED + 5),
        ("the end of time", "Date: Fri, 31 Dec 9999 14:30:00 +0000".into(), DATED + 5),
    ];
    for (what, fields, expected) in cases {
        assert_eq!(timestamp(&letter(&fields), arrived, now), expected, "{what}");
    }
    let undated = letter("Subject: x");
    let modified = Arrived { delivered_ms: None, ..arrived };
    assert_eq!(timestamp(&undated, modified, now), DATED + 6);
    assert_eq!(timestamp(&undated, Arrived::default(), now), now);
    // Half a day ahead of the clock of this machine, and yet not ahead of everything that comes.
    assert_eq!(timestamp(&letter(date), Arrived::default(), DATED - DAY / 2), DATED - DAY / 2);
}

#[test]
fn extras_tell_what_else_there_is() {
    let read = |text: &str| Value::Object(extras(&reading::read(text.as_bytes(), true).unwrap()));
    let message = "From: Ann <ann@x.example>\nTo: \"Bob\" <bob@x.example>, c@x.example\nCc: Dee <d@x.example>\n\
                   Reply-To: Tickets <t+1@x.example>\nMessage-ID: <1@x>\nIn-Reply-To: <0@x>\nContent-Type: multipart/mixed; boundary=b\n\n\
                   --b\n\ntext\n--b\nContent-Type: application/pdf; name=\"a.pdf\"\nContent-Transfer-Encoding: base64\n\nQUJD\n--b\n\
                   Content-Type: image/png\nContent-Disposition: attachment; filename*=utf-8''gr%C3%BC%C3%9Fe.png\n\nxy\n--b--\n";
    let expected = json!({
        "messageId": "1@x",
        "inReplyTo": "0@x",
        "thread": "0@x",
        "cc": ["d@x.example"],
        "replyTo": ["t+1@x.example"],
        "names": { "ann@x.example": "Ann", "t+1@x.example": "Tickets", "bob@x.example": "Bob", "d@x.example": "Dee" },
        "attachments": [
            { "type": "application/pdf", "name": "a.pdf", "size": 3 },
            { "type": "image/png", "name": "grüße.png", "size": 2 },
        ],
    });
    assert_eq!(read(message), expected);
    assert_eq!(read("From: ann@x.example\n\nx"), json!({}));
    let crowd: String = (0..200).map(|n| format!("N{n} <n{n}@x.example>,")).collect();
    let told = read(&format!("From: a@x\nTo: {crowd}\n\n"));
    assert_eq!(told["names"].as_object().unwrap().len(), NAMES_MAX);
}

#[test]
fn apple_mail_keeps_a_length_before_a_message_and_flags_behind_it() {
    let mail = "From: a@b\nSubject: x\n\nHello.\n";
    let list = |flags: u64| {
        format!(
            "<?xml version=\"1.0\"?>\n<plist><dict><key>flags</key>\n<integer>{flags}</integer></dict></plist>"
        )
    };
    let kept = |flags| emlx(format!("{}   \n{mail}{}", mail.len(), list(flags)).into_bytes());
    let marks = |is_incoming, unread| Marks { is_incoming, unread: Some(unread) };
    assert_eq!(kept(8_623_750_145), (mail.as_bytes().to_vec(), marks(true, false)));
    assert_eq!(kept(0), (mail.as_bytes().to_vec(), marks(true, true)));
    for gone in [1, 6, 24] {
        assert!(!kept(1 << gone).1.is_incoming);
    }
    assert_eq!(emlx(format!("{}\n{mail}", mail.len()).into_bytes()), (mail.as_bytes().to_vec(), Marks::NONE));
    for other in
        [format!("3\n{mail}"), format!("99999\n{mail}"), mail.into(), "18446744073709551615\nx".into()]
    {
        assert_eq!(emlx(other.clone().into_bytes()), (other.into_bytes(), Marks::NONE));
    }
}

#[tokio::test]
async fn a_place_without_mail_is_said_to_have_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let import = async || import(&store, "main", "me", folder.path(), 0, |_, _| {}).await;
    assert!(import().await.unwrap_err().to_string().contains("no mail"));
    std::fs::write(folder.path().join("notes"), "text").unwrap();
    assert!(import().await.unwrap_err().to_string().contains("notes: not a message"));
}

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap(), store: Store::in_memory().unwrap() }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    async fn import(&self) -> Imported {
        import(&self.store, "main", "me", self.folder.path(), DATED, |_, _| {}).await.unwrap()
    }

    /// Subject and whether it is unread, sorted.
    fn listed(&self) -> Vec<(String, bool)> {
        let query = Query { limit: 100, ..Default::default() };
        let mail = self.store.mail("main", "me", None, &query).unwrap();
        let mut listed: Vec<_> = mail.into_iter().map(|mail| (mail.subject, mail.unread)).collect();
        listed.sort();
        listed
    }
}

fn mail(n: u32) -> String {
    format!("From: a@b\nSubject: {n}\n\nbody {n}\n")
}

fn subjects(listed: &[(&str, bool)]) -> Vec<(String, bool)> {
    listed.iter().map(|(subject, unread)| ((*subject).to_owned(), *unread)).collect()
}

#[tokio::test]
async fn mbox_maildir_and_folders_are_imported_once_and_a_broken_file_stops_nothing() {
    let place = Place::new();
    place.write("cur/1:2,S", &mail(1));
    place.write("new/2", &mail(2));
    place.write("tmp/3", &mail(3));
    place.write("same.eml", &mail(1));
    place.write("README", "no mail here");
    place.write(".Archive/cur/4", &mail(6));
    place.write("dovecot-uidlist", "3 V1");
    place.write("empty", "");
    let line = "From a@b Fri Mar 15 14:30:00 2024";
    place.write("archive.mbox", &format!("{line}\n{}\n{line}\nStatus: RO\n{}\n", mail(4), mail(5)));
    let first = place.import().await;
    assert_eq!((first.read, first.added, first.known), (7, 5, 1));
    assert_eq!(first.broken, [("README".to_owned(), "not a message: no From, Date or Subject".to_owned())]);
    let second = place.import().await;
    assert_eq!((second.added, second.known), (0, 6));
    assert_eq!(
        place.listed(),
        subjects(&[("1", false), ("2", true), ("4", true), ("5", false), ("6", true)])
    );
}

#[tokio::test]
async fn what_did_not_come_in_is_counted_and_left_out() {
    let place = Place::new();
    place.write("cur/1:2,S", &mail(1));
    for (number, name) in [
        ".Sent/cur/a:2,S",
        ".INBOX.Drafts/cur/b:2,S",
        ".Trash/new/c",
        ".Junk/cur/d",
        "cur/e:2,ST",
        "cur/f:2,D",
    ]
    .iter()
    .enumerate()
    {
        place.write(name, &mail(number as u32 + 10));
    }
    let line = "From a@b Fri Mar 15 14:30:00 2024";
    place.write("Mail/Sent", &format!("{line}\n{}", mail(20)));
    place.write("Mail/Inbox", &format!("{line}\nX-Mozilla-Status: 0009\n{}{line}\n{}", mail(21), mail(2)));
    let imported = place.import().await;
    assert_eq!((imported.read, imported.added, imported.not_incoming, imported.broken.len()), (10, 2, 8, 0));
    assert_eq!(place.listed(), subjects(&[("1", false), ("2", true)]));
    // A folder of nothing else is no mistake.
    std::fs::remove_dir_all(place.folder.path().join("cur")).unwrap();
    std::fs::remove_file(place.folder.path().join("Mail/Inbox")).unwrap();
    assert_eq!(place.import().await.added, 0);
}

#[tokio::test]
async fn marks_and_traces_make_no_other_message_and_marks_are_kept_up_with() {
    let place = Place::new();
    let message = |marks: &str| {
        format!(
            "{marks}From: a@b\nMessage-ID: <1@x>\nSubject: 1\nDate: Fri, 15 Mar 2024 14:30:00 +0000\n\nbody\n"
        )
    };
    place.write("1.M1.host:2,", &message(""));
    assert_eq!(place.import().await.added, 1);
    assert_eq!(place.listed(), subjects(&[("1", true)]));
    std::fs::rename(place.folder.path().join("1.M1.host:2,"), place.folder.path().join("1.M1.host:2,S"))
        .unwrap();
    let again = place.import().await;
    assert_eq!((again.added, again.known), (0, 1));
    assert_eq!(place.listed(), subjects(&[("1", false)]));
    // A copy that says nothing of whether it was read changes nothing, and neither do line ends and traces.
    std::fs::remove_file(place.folder.path().join("1.M1.host:2,S")).unwrap();
    place.write(
        "copy.eml",
        &message("Received: from a by b; Fri, 15 Mar 2024 14:30:00 +0000\nX-GM-Labels: all\n")
            .replace('\n', "\r\n"),
    );
    assert_eq!(place.import().await.known, 1);
    assert_eq!(place.listed(), subjects(&[("1", false)]));
    place.write(
        "in.mbox",
        &format!("From a@b Fri Mar 15 14:30:00 2024\n{}", message("X-Mozilla-Status: 0000\n")),
    );
    assert_eq!(place.import().await.known, 2);
    assert_eq!(place.listed(), subjects(&[("1", true)]));
    // Other words are another message, whatever its Message-ID.
    place.write("other.eml", &message("").replace("body", "other"));
    assert_eq!(place.import().await.added, 1);
}

#[tokio::test]
async fn what_an_older_countersign_imported_is_known_and_read_anew() {
    let place = Place::new();
    let text = mail(1);
    place.write("1.eml", &text);
    place.import().await;
    let old =
        "UPDATE mail SET identity = NULL, sender = 'a@b and more', sender_lower = 'a@b and more', body = ''";
    place.store.write(move |db| Ok(db.execute_batch(old)?)).await.unwrap();
    let again = place.import().await;
    assert_eq!((again.added, again.known), (0, 1));
    let read = place.store.mail("main", "me", None, &Query { limit: 10, ..Default::default() }).unwrap();
    assert_eq!((&read[0].from[..], &read[0].body[..], read.len()), ("a@b", "body 1\n", 1));
}

/// The same message, as different servers and programs hand it on.
const ENCODINGS: [&str; 4] = [
    "Subject: Gr\u{fc}\u{df}e\nDate: Fri, 15 Mar 2024 14:30:00 +0000\nFrom: a@b\nContent-Type: text/plain; charset=utf-8\n\nGr\u{fc}\u{df}e\n",
    "From: Ann <a@B>\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nDate: Fri, 15 Mar 2024 14:30:00 +0000\nContent-Type: text/plain;\n charset=UTF-8\n\
     Content-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe\n",
    "From: a@b\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\nDate: Fri, 15 Mar 2024 15:30:00 +0100 (CET)\nContent-Type: text/plain; charset=utf-8\n\
     Content-Transfer-Encoding: base64\n\nR3LDvMOfZQo=\n",
    "From: a@b\r\nSubject: Gr\u{fc}\u{df}e\r\nDate: 15 Mar 2024 14:30:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
     Content-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e\r\n",
];

#[tokio::test]
async fn a_message_is_the_same_however_it_is_encoded() {
    let place = Place::new();
    for (number, text) in ENCODINGS.iter().enumerate() {
        place.write("1.eml", text);
        let done = place.import().await;
        assert_eq!(done.added, usize::from(number == 0), "{text}");
    }
    for (from, to) in [("Gr\u{fc}\u{df}e\n", "Gru\u{df}\n"), ("a@b", "c@b"), ("+0000", "-0800")] {
        place.write("1.eml", &ENCODINGS[0].replace(from, to));
        assert_eq!(place.import().await.added, 1, "{from}");
    }
}

#[tokio::test]
async fn what_was_imported_under_an_older_identity_is_known() {
    let place = Place::new();
    place.write("1.eml", ENCODINGS[0]);
    place.import().await;
    let letter = reading::read(ENCODINGS[0].as_bytes(), true).unwrap();
    let (identity, older) = (letter.identity.0, letter.older_identity.0);
    place
        .store
        .write(move |db| Ok(db.execute("UPDATE mail SET identity = ?1", [&older[..]])?))
        .await
        .unwrap();
    let again = place.import().await;
    assert_eq!((again.added, again.known), (0, 1));
    // From then on it is known by the new one.
    place.write("1.eml", ENCODINGS[1]);
    let again = place.import().await;
    assert_eq!((again.added, again.known), (0, 1));
    // Where a message without any identity has the same bytes, the one that is it for certain counts.
    place.write("1.eml", ENCODINGS[3]);
    let digest = Digest::of(ENCODINGS[3].as_bytes()).0;
    let copy = "INSERT INTO mail (seq, id, tenant, user, digest, sender, sender_lower, recipients, subject, body, truncated, timestamp_ms, unread) \
                SELECT seq - 1, 'msg_copy', tenant, user, ?1, sender, sender_lower, recipients, subject, 'copy', truncated, timestamp_ms, unread \
                FROM mail";
    place.store.write(move |db| Ok(db.execute(copy, [&digest[..]])?)).await.unwrap();
    let again = place.import().await;
    assert_eq!((again.added, again.known), (0, 1));
    let copies = "SELECT count(*) FROM mail WHERE identity IS NULL AND body = 'copy'";
    let left: i64 =
        place.store.write(move |db| Ok(db.query_row(copies, [], |row| row.get(0))?)).await.unwrap();
    assert_eq!(left, 1);
    assert_ne!(identity, older);
}
