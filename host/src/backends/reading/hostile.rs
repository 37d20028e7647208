//! Mail that is made to be much work, and bytes that are no mail at all.

#![allow(clippy::disallowed_methods, reason = "how long something takes is read from the wall clock")]

use super::*;
use std::time::Duration;

const SMALL_BYTES: usize = 32 * 1024;
const TIMES: usize = 16;

/// Text that a stranger made to be much work.
fn bombs(size: usize) -> Vec<(&'static str, String)> {
    let head = "From: a@b.example\nSubject: x\n";
    let fill = |piece: &str| piece.repeat(size / piece.len());
    // Of a field no more than `FIELD_VALUE_BYTES_MAX` is read: the larger one is as large as that.
    let field = |piece: &str| piece.repeat(size / 8 / piece.len());
    let many = |parts: &str| format!("{head}Content-Type: multipart/mixed; boundary=b\n\n{}", fill(parts));
    let html = |body: String| format!("{head}Content-Type: text/html\n\n{body}");
    vec![
        ("messages within messages", format!("{head}{}", fill("Content-Type: message/rfc822\n\n"))),
        (
            "parts within parts",
            format!("{head}{}", fill("Content-Type: multipart/mixed; boundary=b\n\n--b\n")),
        ),
        ("digests", format!("{head}{}", fill("Content-Type: multipart/digest; boundary=b\n\n--b\n\n"))),
        ("parts", many("--b\n\nx\n")),
        ("almost boundaries", many("--bb\n--b -\n")),
        ("parameters", format!("{head}Content-Type: text/plain; {}\n\nx", field("a=b; "))),
        ("parameters of one name", format!("{head}Content-Type: text/plain; {}\n\nx", field("name*1*=x; "))),
        ("quotes", format!("{head}Content-Type: text/plain; {}\n\nx", field("\"\\\""))),
        ("fields", format!("{head}{}\nx", fill("A: b\n"))),
        ("folds", format!("{head}X: a\n{}\nx", fill(" \n"))),
        ("addresses", format!("{head}To: {}\n\nx", field("a@b.example,"))),
        ("comments", format!("{head}To: {}\n\nx", field("("))),
        ("brackets", format!("{head}To: {}\n\nx", field("<@a:<"))),
        ("colons", format!("{head}To: {}@{}\n\nx", ".".repeat(size / 17), ":".repeat(size / 17))),
        ("routes", format!("{head}To: <@{}\n\nx", field(".,"))),
        ("routes without an end", format!("{head}To: {}\n\nx", field("<@a,"))),
        ("encoded words", format!("{head}Subject: {}\n\nx", field("=?a?q?"))),
        ("words", format!("From: a@b.example\nSubject: {}\n\nx", field("=?utf-8?q?a?= "))),
        ("dates", format!("{head}Date: {}\n\nx", fill("1 ("))),
        ("elements", html(fill("<b id=a><p>"))),
        ("ends of elements", html(format!("{}{}", "<i>".repeat(500), fill("</b></p>")))),
        ("attributes", html(format!("<p {}>", fill("a=b c ")))),
        ("comments in HTML", html(fill("<!--"))),
        ("characters", html(fill("&amp"))),
        ("cells", html(fill("<table><td>"))),
        ("style sheets", html(format!("<style>{}</style>", fill("@a{b{")))),
        ("styles", html(fill("<a style=display:none;a>"))),
        (
            "selectors of one rule",
            html(format!("<style>{}{{{}}}</style>", "a,".repeat(size / 4), "x:y;".repeat(size / 8))),
        ),
        (
            "rules for everything",
            html(format!(
                "<style>{}</style>{}",
                "* * *{top:0}".repeat(size / 24),
                "<b>".repeat(500) + &"<i></i>".repeat(size / 14)
            )),
        ),
        (
            "a long name of many classes",
            html(format!(
                "<style>a{{top:0}}</style><{} class='{}'>",
                "a".repeat(size / 2),
                "b ".repeat(size / 4)
            )),
        ),
        (
            "classes",
            html(format!(
                "<style>{}</style>{}",
                ".a .b[c]{top:0}".repeat(1000),
                "<p class='a b'>".repeat(400) + &"<i class='a b' c=d></i>".repeat(size / 24)
            )),
        ),
        ("struck text", html(fill("<s><sup>a b</sup></s>"))),
        ("feet of tables", html(fill("<table><tfoot><tr><td>x</table>"))),
        ("items", html(fill("<ol><li>"))),
        ("pages without a charset", format!("{head}Content-Type: text/html\n\n\u{fc}{}", fill("<meta "))),
        (
            "escapes",
            format!("{head}Content-Type: text/plain; charset=iso-2022-kr\n\n{}", fill("\x1b$)C\x0ea")),
        ),
        ("tildes", format!("{head}Content-Type: text/plain; charset=hz\n\n{}", fill("~{ab~}"))),
        (
            "what is encoded as Unix had it",
            format!("{head}Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n{}", fill("#86)C\n")),
        ),
        ("links", html(fill("<a href=http://a.example>"))),
        ("soft breaks", format!("{head}Content-Transfer-Encoding: quoted-printable\n\n{}", fill("= "))),
        ("flowed lines", format!("{head}Content-Type: text/plain; format=flowed\n\n{}", fill("> \n>> \n"))),
        ("events", format!("{head}Content-Type: text/calendar\n\n{}", fill("BEGIN:VEVENT\nSUMMARY:x\n"))),
        ("line ends", format!("{head}\n{}", fill("\r\n\n\r"))),
    ]
}

#[test]
fn hostile_mail_takes_time_in_proportion_to_its_size_and_little_stack() {
    let small_stack = std::thread::Builder::new().stack_size(512 * 1024);
    let work = || {
        for ((what, small), (_, large)) in bombs(SMALL_BYTES).into_iter().zip(bombs(SMALL_BYTES * TIMES)) {
            // One size is the measure of the other, so that a slow machine is no failure.
            let time = |text: &str| {
                let started = std::time::Instant::now();
                assert!(read(text.as_bytes(), true).is_some(), "{what}");
                started.elapsed()
            };
            // Other work on the machine makes a run longer and none shorter, so the shortest of some counts.
            let (mut short, mut long, mut tries) = (time(&small), time(&large), 1);
            let is_too_long =
                |short: Duration, long| long > short.max(Duration::from_millis(10)) * (TIMES as u32) * 3;
            while is_too_long(short, long) && tries < 5 {
                (short, long, tries) = (short.min(time(&small)), long.min(time(&large)), tries + 1);
            }
            assert!(
                !is_too_long(short, long),
                "{what}: {short:?} for {SMALL_BYTES} bytes, {long:?} for {TIMES} times as many"
            );
        }
    };
    small_stack.spawn(work).unwrap().join().unwrap();
}
