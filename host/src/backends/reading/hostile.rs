//! Mail that is made to be much work, and bytes that are no mail at all.

#![allow(clippy::disallowed_methods, reason = "how long something takes is read from the wall clock")]

use super::*;
use std::time::Duration;

/// Text that a stranger made to be much work.
fn bombs(size: usize) -> Vec<(&'static str, String)> {
    let head = "From: a@b.example\nSubject: x\n";
    let fill = |piece: &str| piece.repeat(size / piece.len());
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
        ("parameters", format!("{head}Content-Type: text/plain; {}\n\nx", fill("a=b; "))),
        ("parameters of one name", format!("{head}Content-Type: text/plain; {}\n\nx", fill("name*1*=x; "))),
        ("quotes", format!("{head}Content-Type: text/plain; {}\n\nx", fill("\"\\\""))),
        ("fields", format!("{head}{}\nx", fill("A: b\n"))),
        ("folds", format!("{head}X: a\n{}\nx", fill(" \n"))),
        ("addresses", format!("{head}To: {}\n\nx", fill("a@b.example,"))),
        ("comments", format!("{head}To: {}\n\nx", fill("("))),
        ("brackets", format!("{head}To: {}\n\nx", fill("<@a:<"))),
        ("encoded words", format!("{head}Subject: {}\n\nx", fill("=?a?q?"))),
        ("words", format!("From: a@b.example\nSubject: {}\n\nx", fill("=?utf-8?q?a?= "))),
        ("dates", format!("{head}Date: {}\n\nx", fill("1 ("))),
        ("elements", html(fill("<b id=a><p>"))),
        ("ends of elements", html(format!("{}{}", "<i>".repeat(500), fill("</b></p>")))),
        ("attributes", html(format!("<p {}>", fill("a=b c ")))),
        ("comments in HTML", html(fill("<!--"))),
        ("characters", html(fill("&amp"))),
        ("cells", html(fill("<table><td>"))),
        ("style sheets", html(format!("<style>{}</style>", fill("@a{b{")))),
        ("styles", html(fill("<a style=display:none;a>"))),
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
        for ((what, small), (_, large)) in bombs(64 * 1024).into_iter().zip(bombs(1024 * 1024)) {
            // One size is the measure of the other, so that a slow machine is no failure.
            let time = |text: &str| {
                let started = std::time::Instant::now();
                assert!(read(text.as_bytes(), true).is_some(), "{what}");
                started.elapsed()
            };
            let (short, long) = (time(&small).max(Duration::from_millis(20)), time(&large));
            assert!(long < short * 16 * 8, "{what}: {short:?} for 64 KiB, {long:?} for 1 MiB");
        }
    };
    small_stack.spawn(work).unwrap().join().unwrap();
}
