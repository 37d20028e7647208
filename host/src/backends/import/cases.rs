//! Mail that was read wrong once, each with what is right. The inputs lie in `tests/cases/mail`.

use super::*;
use crate::clock;
use crate::tools::messages::Query;
use std::time::{Duration, SystemTime};

/// 2024-06-01T00:00:00Z: when the files were last written, as far as they say.
const WRITTEN_MS: Millis = 1_717_200_000_000;
/// 2026-12-01T00:00:00Z: when they are imported.
const NOW: Millis = 1_796_083_200_000;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/mail")
}

/// What was imported from one file or folder, newest first.
struct Mailbox {
    imported: Imported,
    mail: Vec<Mail>,
}

async fn imported(files: &[(&str, Vec<u8>)]) -> Mailbox {
    let store = Store::in_memory().unwrap();
    let mut last = Imported::default();
    for (name, bytes) in files {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let written = SystemTime::UNIX_EPOCH + Duration::from_millis(WRITTEN_MS as u64);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
        last = import(&store, "main", "me", &path, NOW, |_, _| {}).await.unwrap();
    }
    listed(&store, last)
}

fn listed(store: &Store, imported: Imported) -> Mailbox {
    let query = Query { limit: 1000, ..Query::default() };
    Mailbox { imported, mail: store.mail("main", "me", None, &query).unwrap() }
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(cases().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn case(name: &str) -> Mailbox {
    let file = name.rsplit('/').next().unwrap();
    imported(&[(file, bytes(name))]).await
}

async fn one(name: &str) -> Mail {
    let Mailbox { imported, mut mail } = case(name).await;
    assert_eq!((imported.read, imported.added, mail.len()), (1, 1, 1), "{name}");
    mail.pop().unwrap()
}

fn extras_of(mail: &Mail) -> Value {
    serde_json::from_str(mail.extras.as_deref().unwrap_or("null")).unwrap()
}

/// What is right about a message.
enum Right {
    From(&'static str),
    To(&'static [&'static str]),
    Subject(&'static str),
    /// The whole body.
    Body(&'static str),
    /// The body but for the white space around it.
    Text(&'static str),
    Has(&'static str),
    HasNot(&'static str),
    Begins(&'static str),
    /// The body, split at white space.
    Words(&'static str),
    At(&'static str),
    Extra(&'static str, &'static [&'static str]),
}

use Right::{At, Begins, Body, Extra, From as Sender, Has, HasNot, Subject, Text, To, Words};

#[rustfmt::skip]
const MESSAGES: &[(&str, &[Right])] = &[
    // A date that ends in a short zone swallows nothing.
    ("r05-zone-ut-lf.eml", &[Subject("r05 after UT"), At("2020-05-12T12:08:24Z")]),
    ("r05b-zone-z-lf.eml", &[Sender("ann@example.org")]),
    ("r05c-zone-z-crlf.eml", &[Sender("ann@example.org")]),
    ("r05i-resent-date-z.eml", &[Sender("mallory@evil.example")]),
    ("r05f-zone-hides-content-type.eml", &[Body("Hello text."), At("2024-03-15T14:30:00Z")]),
    ("r05m-zone-z-last-header.eml", &[Begins("First body line.")]),
    // A sender is one address or nobody.
    ("r27-unquoted-comma.eml", &[Sender("john@example.org")]),
    ("r30b-no-angle-name.eml", &[Sender("john@example.org")]),
    ("r60d-words.eml", &[Sender("")]),
    ("r30f-route.eml", &[Sender("john@example.org")]),
    ("r30h-quoted-local.eml", &[Sender("\"john doe\"@example.org")]),
    ("r41e-space-before-colon.eml", &[Sender("ann@example.org"), Subject("r41e"), At("2024-03-15T14:30:00Z")]),
    ("r41-bom.eml", &[Sender("ann@example.org")]),
    ("r41b-leading-blank.eml", &[Sender("ann@example.org"), Subject("r41b")]),
    ("h-obsolete-route.eml", &[Sender("a@example.com"), To(&["mary@example.net", "jdoe@test.example"])]),
    ("h-two-to-headers.eml", &[To(&["first@example.com", "second@example.com"])]),
    // Charsets.
    ("r46/r46-jis.eml", &[Text("こんにちは")]),
    ("r46/r46-sjis.eml", &[Text("こんにちは")]),
    ("r46/r46-big5.eml", &[Text("你好")]),
    ("r46/r46-euckr.eml", &[Text("안녕")]),
    ("r46/r46-ks_c_5601.eml", &[Text("안녕")]),
    ("r46/r46-gb18030.eml", &[Text("你好 €")]),
    ("r46/r46-gb2312-is-gbk.eml", &[Text("朱镕基 喆")]),
    ("r46/r46-base64-spaces.eml", &[Begins("Grüße aus Köln"), HasNot("R3LD")]),
    ("r24-iso2022jp-two-words.eml", &[Subject("会議のお知らせ")]),
    ("h-big5.eml", &[Subject("你好，世界，發票"), Text("你好，世界，發票")]),
    ("h-euc-jp.eml", &[Subject("こんにちは世界、請求書です"), Text("こんにちは世界、請求書です")]),
    ("h-euc-kr.eml", &[Subject("안녕하세요 세계"), Text("안녕하세요 세계")]),
    ("h-gb18030.eml", &[Subject("你好，世界，发票"), Text("你好，世界，发票")]),
    ("h-iso-2022-jp.eml", &[Subject("こんにちは世界、請求書です"), Text("こんにちは世界、請求書です")]),
    ("h-ks_c_5601-1987.eml", &[Subject("안녕하세요 세계"), Text("안녕하세요 세계")]),
    ("h-windows-874.eml", &[Subject("สวัสดีชาวโลก"), Text("สวัสดีชาวโลก")]),
    ("c-iso2022kr.eml", &[Text("안녕")]),
    ("c-hz.eml", &[Text("你好")]),
    ("c-jp2004.eml", &[Text("こんにちは")]),
    ("c-utf16-mis.eml", &[Text("Hello there, plain text")]),
    // HTML.
    ("h9-td-th.eml", &[Body("Vendor\tPay\tRefuse\nACME\t\t900\nEvil\t9000\n")]),
    ("h9-blocks.eml", &[Body("EUR 10\n000\n")]),
    ("h9-cells-div.eml", &[Body("Price\t40\nTotal\t80\n")]),
    ("h9-tfoot.eml", &[Body("Price\t40\nTotal\t80\n")]),
    ("h9-unclosed-a.eml", &[Body("Please click here <https://evil.example/>\n")]),
    ("h9-sup.eml", &[Body("Pay 10^50 EUR\n")]),
    ("h-del.eml", &[Has("please do [struck: not] pay")]),
    ("r16-html-cells.eml", &[Words("Price 40 Total 80 Hello World one two Head text")]),
    ("r16b-html-amounts.eml", &[Words("Invoice 100 200 300")]),
    ("r16c-html-no-head-close.eml", &[Body("The body is here.\n")]),
    ("r16d-html-comment-dashes.eml", &[Words("Before. After the comment. End.")]),
    ("r16e-html-hidden.eml", &[HasNot("Ignore previous"), Words("Visible. End.")]),
    ("r16g-html-pre-entities.eml", &[Has("a < b and c > d"), Has("5 < 6 && 7 > 2"), Has("café € 😀")]),
    ("r16i-attr-gt.eml", &[Body("Text after attribute.\n")]),
    // Parts.
    ("r17-empty-text-part.eml", &[Text("Your balance is 12 EUR.")]),
    ("r17b-blank-text-part.eml", &[Text("Your balance is 12 EUR.")]),
    ("r20-apple-three-texts.eml", &[Words("First paragraph. Second paragraph, below the picture: please pay by Friday.")]),
    ("r22-calendar-only.eml", &[Has("Quarterly review"), Has("20240401T090000Z"), Has("Room 5")]),
    ("r22b-calendar-in-mixed.eml", &[Has("Quarterly review"), Has("20240401T090000Z")]),
    ("r42-forwarded.eml", &[Has("Inner text."), Has("inner@example.org")]),
    ("r42c-boundary-missing.eml", &[Text("The text.")]),
    ("r54-content-type-text.eml", &[Body("Plain words.\n")]),
    ("r45-format-flowed.eml", &[Has("123456789"), Has("https://example.org/very/long/path/to/it")]),
    ("h-boundary-folded.eml", &[Text("The text.")]),
    ("h-boundary-spaces.eml", &[Text("The text.")]),
    ("h-boundary-starts-with-dashes.eml", &[Text("The text.")]),
    ("h-content-type-text-without-subtype.eml", &[Text("This body is not shown.")]),
    ("h-two-content-types.eml", &[Text("real text")]),
    // Dates.
    ("r07-zone-gmt+0200.eml", &[At("2022-10-06T10:27:13Z")]),
    ("r07b-zone-utc-5.eml", &[At("2022-10-06T17:27:13Z")]),
    ("r11-encoded-date.eml", &[At("2012-09-01T16:08:29Z")]),
    ("r12-no-zone.eml", &[At("2024-03-15T14:30:00Z")]),
    ("r13d-pm.eml", &[At("2024-03-15T14:30:00Z")]),
    ("r13e-hour-25.eml", &[At("2024-06-01T00:00:00Z")]),
    ("r13f-feb-31.eml", &[At("2024-06-01T00:00:00Z")]),
    ("r13i-future.eml", &[At("2024-03-15T14:30:05Z")]),
    ("fu-5.eml", &[At("2024-03-15T09:00:00Z")]),
    ("r14-two-received.eml", &[At("2024-03-16T09:00:10Z")]),
    ("h-date-full-month.eml", &[At("2024-03-15T14:30:00Z")]),
    // Files.
    ("r40-apple.emlx", &[Body("Hello.\n"), Sender("ann@example.org")]),
    ("r41c-cr-only.eml", &[Sender("ann@example.org"), Subject("r41c"), Text("Hello.")]),
    ("r41d-no-blank-line.eml", &[Begins("Hello, this is the body."), Sender("ann@example.org")]),
    // What else there is.
    ("r49c-cc-only.eml", &[To(&[]), Extra("cc", &["a@example.net"])]),
    ("r51-reply-to.eml", &[Extra("replyTo", &["ticket+123@shop.example"]), Extra("cc", &["team@example.net"])]),
];

#[tokio::test]
async fn every_message_is_read_as_it_was_meant() {
    for (name, rights) in MESSAGES {
        let mail = one(name).await;
        for right in *rights {
            let body = &mail.body[..];
            let words = || body.split_whitespace().collect::<Vec<_>>().join(" ");
            match right {
                Sender(from) => assert_eq!(mail.from, *from, "{name}"),
                To(to) => assert_eq!(mail.to, *to, "{name}"),
                Subject(subject) => assert_eq!(mail.subject, *subject, "{name}"),
                Body(expected) => assert_eq!(body, *expected, "{name}"),
                Text(expected) => assert_eq!(body.trim(), *expected, "{name}"),
                Has(piece) => assert!(body.contains(piece), "{name}: {body}"),
                HasNot(piece) => assert!(!body.contains(piece), "{name}: {body}"),
                Begins(piece) => assert!(body.starts_with(piece), "{name}: {body}"),
                Words(expected) => assert_eq!(words(), *expected, "{name}"),
                At(time) => assert_eq!(Some(mail.timestamp_ms), clock::parse(time), "{name}"),
                Extra(key, list) => assert_eq!(extras_of(&mail)[key], json!(list), "{name}"),
            }
        }
    }
}

#[tokio::test]
async fn every_message_of_a_file_is_found_once() {
    // How many are read and added, and the subjects, oldest first.
    let cases: &[(&str, usize, &[&str])] = &[
        ("r32-no-blank-between.mbox", 3, &["message 1", "message 2", "message 3"]),
        ("r32b-thunderbird-bare-from.mbox", 3, &["message 1", "message 2", "message 3"]),
        ("r31-from-in-body.mbox", 2, &["message 1", "message 2"]),
        ("r31b-patch-in-body.mbox", 2, &["message 1", "message 2"]),
        ("r32c-blank-first.mbox", 2, &["message 1", "message 2"]),
        ("r32e-mboxcl2.mbox", 2, &["message 1", "message 2"]),
        ("r38-a.mbox", 2, &["message 1", "message 2"]),
    ];
    for (name, count, subjects) in cases {
        let found = case(name).await;
        assert_eq!((found.imported.read, found.imported.added), (*count, *count), "{name}");
        assert!(found.imported.broken.is_empty(), "{name}");
        let listed: Vec<_> = found.mail.iter().rev().map(|mail| &mail.subject[..]).collect();
        assert_eq!(listed, *subjects, "{name}");
        assert!(found.mail.iter().all(|mail| mail.from == "ann@example.org"), "{name}");
        let first = &found.mail.last().unwrap().body;
        match *name {
            "r31-from-in-body.mbox" => {
                assert!(first.contains("From here on it is simple: pay the invoice.\n\nAnn"), "{first}")
            }
            "r32e-mboxcl2.mbox" => assert!(first.contains("From Monday we work from home."), "{first}"),
            "r31b-patch-in-body.mbox" => assert!(first.contains("From: Bob <bob@example.org>"), "{first}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn files_of_any_writer_and_of_several_are_parted() {
    let cases: &[(&str, usize)] = &[
        ("mb-mixed-styles.mbox", 3),
        ("mb-mixed2.mbox", 3),
        // A patch within a message stays there.
        ("mb-mixed3.mbox", 2),
        ("mb00.mbox", 2),
        ("mb04.mbox", 2),
        ("mb08.mbox", 2),
        ("mb10.mbox", 2),
        ("mb16.mbox", 2),
    ];
    for (name, count) in cases {
        let found = case(name).await;
        assert_eq!((found.imported.read, found.imported.added), (*count, *count), "{name}");
    }
    let found = case("mb-uw.mbox").await;
    assert_eq!(found.imported.not_incoming, 1);
    assert_eq!(found.imported.added + 1, found.imported.read);
}

#[tokio::test]
async fn a_part_of_a_maildir_is_of_the_folder_it_lies_in() {
    let store = Store::in_memory().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, is_incoming) in [(".Sent", false), ("INBOX.Trash", false), (".Work", true)] {
        let cur = folder.path().join(name).join("cur");
        std::fs::create_dir_all(&cur).unwrap();
        let file = cur.join("1.M1.host:2,S");
        std::fs::write(&file, format!("From: a@b\nSubject: {name}\n\nx\n")).unwrap();
        for path in [cur.clone(), file] {
            let done = import(&store, "main", "me", &path, NOW, |_, _| {}).await.unwrap();
            assert_eq!(done.not_incoming == 0, is_incoming, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn what_is_no_text_of_mail_is_told_from_what_is_no_mail() {
    let utf_16: Vec<u8> = "From: a@b\nSubject: x\n\nx\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases = [
        (b"\x1f\x8b\x08\0\0\0".to_vec(), "gzip"),
        (b"PK\x03\x04\0\0".to_vec(), "ZIP"),
        ([&b"\xff\xfe"[..], &utf_16].concat(), "UTF-16"),
        (b"hello".to_vec(), "not a message"),
    ];
    for (bytes, reason) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.eml");
        std::fs::write(&path, bytes).unwrap();
        let failed =
            import(&Store::in_memory().unwrap(), "main", "me", &path, NOW, |_, _| {}).await.unwrap_err();
        assert!(format!("{failed:?}").contains(reason), "{failed:?}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_and_carriage_returns_hide_no_mbox() {
    let plain = bytes("r31-from-in-body.mbox");
    let mark = [&b"\xef\xbb\xbf"[..], &plain].concat();
    let returns: Vec<u8> = plain.iter().map(|byte| if *byte == b'\n' { b'\r' } else { *byte }).collect();
    let both = String::from_utf8(plain.clone()).unwrap().replace('\n', "\r\n").into_bytes();
    let quoted = String::from_utf8(plain).unwrap().replace("\nFrom here", "\n>From here").into_bytes();
    for other in [mark, returns, both, quoted] {
        let found = imported(&[("m.mbox", other)]).await;
        assert_eq!((found.imported.read, found.imported.added), (2, 2));
        assert!(
            found.mail[1].body.contains("\nFrom here on it is simple: pay the invoice."),
            "{}",
            found.mail[1].body
        );
    }
}

#[tokio::test]
async fn an_export_of_gmail_has_what_came_in_and_what_was_read_of_it() {
    let found = case("r33-takeout.mbox").await;
    let listed: Vec<_> = found.mail.iter().rev().map(|mail| (&mail.subject[..], mail.unread)).collect();
    assert_eq!(listed, [("message 1", false), ("message 2", true)]);
    assert_eq!(found.imported.not_incoming, found.imported.read - 2);
}

#[tokio::test]
async fn of_a_maildir_with_folders_only_what_came_in_is_mail() {
    let store = Store::in_memory().unwrap();
    let done = import(&store, "main", "me", &cases().join("r35-maildirpp"), NOW, |_, _| {}).await.unwrap();
    let found = listed(&store, done);
    let subjects: Vec<_> = found.mail.iter().rev().map(|mail| &mail.subject[..]).collect();
    assert_eq!(subjects, ["message 1", "message 6"]);
    assert!(found.imported.broken.is_empty(), "{:?}", found.imported.broken);
    assert_eq!((found.imported.added, found.imported.not_incoming), (2, 4));
}

#[tokio::test]
async fn mail_that_was_read_since_is_the_same_mail() {
    let before = bytes("r38-a.mbox");
    let text = String::from_utf8(before.clone()).unwrap();
    let after = text.replace("\nFrom: ", "\nStatus: RO\nX-Status: A\nFrom: ").into_bytes();
    let found = imported(&[("a.mbox", before), ("a.mbox", after)]).await;
    assert_eq!((found.imported.added, found.imported.known), (0, 2));
    assert_eq!(found.mail.iter().map(|mail| mail.unread).collect::<Vec<_>>(), [false, false]);
}

#[tokio::test]
async fn copies_with_other_traces_are_one_message() {
    let copies = ["r39-a-inbox.eml", "r39-b-allmail.eml"].map(|name| (name, bytes(name)));
    let found = imported(&copies).await;
    assert_eq!((found.imported.added, found.imported.known, found.mail.len()), (0, 1, 1));
}

#[tokio::test]
async fn a_message_larger_than_is_kept_has_its_text_wherever_that_stands() {
    let line = format!("{}\n", "QUJD".repeat(19));
    let attachment = format!(
        "--b\nContent-Type: application/octet-stream; name=drawing.bin\nContent-Transfer-Encoding: base64\n\n{}",
        line.repeat(28 * 1024 * 1024 / line.len())
    );
    let text = "--b\nContent-Type: text/plain\n\nPlease see the drawing.\n";
    for parts in [[text, &attachment[..]], [&attachment, text]] {
        let message = format!(
            "From: ann@example.org\nSubject: big\nContent-Type: multipart/mixed; boundary=b\n\n{}--b--\n",
            parts.concat()
        );
        let found = imported(&[("big.eml", message.clone().into_bytes())]).await;
        assert_eq!((found.imported.added, found.imported.broken.len()), (1, 0));
        assert_eq!(found.mail[0].body, "Please see the drawing.");
        assert_eq!(
            extras_of(&found.mail[0])["attachments"],
            json!([{ "type": "application/octet-stream", "name": "drawing.bin" }])
        );
        let mbox = format!(
            "From a@b Fri Mar 15 14:30:00 2024\n{message}\nFrom a@b Fri Mar 15 14:30:00 2024\nSubject: next\n\nx\n"
        );
        let found = imported(&[("big.mbox", mbox.into_bytes())]).await;
        assert_eq!((found.imported.read, found.imported.added), (2, 2));
    }
}
