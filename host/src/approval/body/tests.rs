#![allow(clippy::disallowed_methods, reason = "how long something takes is read from the wall clock")]

use super::super::action::tests::sample;
use super::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn html(body: &str) -> Action {
    let body =
        canonical(BodyKind::Html, body).unwrap_or_else(|refusal| panic!("{body}: {}", refusal.message));
    Action { body_kind: BodyKind::Html, body, ..sample() }
}

fn drawn(body: &str) -> String {
    Rendered::of(&html(body)).drawn
}

fn refusal(body: &str) -> String {
    match canonical(BodyKind::Html, body) {
        Err(refusal) => refusal.message,
        Ok(html) => panic!("{body}: {html}"),
    }
}

/// What leaves, without the frame around it.
fn leaves(body: &str) -> String {
    let html = html(body).body;
    html.strip_prefix("<div dir=\"ltr\">\n")
        .and_then(|html| html.strip_suffix("\n</div>\n"))
        .unwrap_or(&html)
        .to_owned()
}

#[test]
fn what_models_write_leaves_in_one_spelling() {
    for (written, expected) in [
        ("", ""),
        ("just text, 2 > 1 & so on", "<p>just text, 2 &gt; 1 &amp; so on</p>"),
        (
            "<P CLASS='x'>Hello <B>team</B>,<BR/>Ada<p>Second",
            "<p>Hello <strong>team</strong>,<br>Ada</p>\n<p>Second</p>",
        ),
        (
            "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>T</title></head><body><p>x</p></body></html>",
            "<p>x</p>",
        ),
        ("<ul><li>one<li>two</ul>", "<ul>\n<li>one</li>\n<li>two</li>\n</ul>"),
        ("<ol start=3><li>a</li></ol>", "<ol start=\"3\">\n<li>a</li>\n</ol>"),
        (
            "<ul><li>a</li><ul><li>b</li></ul></ul>",
            "<ul>\n<li>\n<p>a</p>\n<ul>\n<li>b</li>\n</ul>\n</li>\n</ul>",
        ),
        (
            "<table border=0 cellpadding='4'><tr><th>Item<td><p>EUR 5</p></table>",
            "<table border=\"1\">\n<tbody>\n<tr><th>Item</th><td>EUR 5</td></tr>\n</tbody>\n</table>",
        ),
        (
            "<table><tfoot><tr><td>c</tfoot><tr><td>b<thead><tr><td>a</thead></table>",
            "<table border=\"1\">\n<tbody>\n<tr><td>a</td></tr>\n<tr><td>b</td></tr>\n<tr><td>c</td></tr>\n</tbody>\n</table>",
        ),
        (
            "<a href=HTTPS://x.example/?a=1&b=2 target=_blank>the <i>report</i></a>",
            "<p><a href=\"https://x.example/?a=1&amp;b=2\">the <em>report</em></a></p>",
        ),
        ("<b>a<p>b</p></b>c", "<p><strong>a</strong></p>\n<p><strong>b</strong></p>\n<p>c</p>"),
        ("a <s> b</s><del>c </del> d&mdash;&nbsp;e", "<p>a <s>bc </s>d—&nbsp;e</p>"),
        (
            "<pre>\n\n\tx\r\n12345678\t<b>y</b>\n</pre>",
            "<pre>        x\n12345678        <strong>y</strong></pre>",
        ),
        ("<div><div>a</div><section>b<hr></section></div><!-- c -->", "<p>a</p>\n<p>b</p>\n<hr>"),
        ("<p>&nbsp;</p><p>a<br><br>b<br></p><p><br></p>", "<p>&nbsp;</p>\n<p>a<br><br>b</p>"),
        ("<p>שלום, עולם!</p><p>a</p>", "<p dir=\"rtl\">שלום, עולם!</p>\n<p>a</p>"),
        ("<p dir=rtl>שלום</p>", "<p dir=\"rtl\">שלום</p>"),
        ("<table><tr></tr></table><ul></ul><blockquote></blockquote>a", "<p>a</p>"),
    ] {
        assert_eq!(leaves(written), expected, "{written}");
    }
}

#[test]
fn what_a_reader_would_see_otherwise_is_refused_with_the_cure() {
    for (body, told) in [
        ("<p style='display:none'>x</p>", "use elements"),
        ("<p hidden>x</p>", "nothing can be hidden"),
        ("<p title=x>x</p>", "the attribute `title` of `<p>`"),
        ("<p align=right>x</p>", "the attribute `align`"),
        ("<body bgcolor=red>x", "the attribute `bgcolor` of `<body>`"),
        ("<!--[if mso]>x<![endif]-->", "a comment with a condition"),
        ("a<![if !mso]>b", "a comment with a condition"),
        ("<img src=https://x.example/>", "pictures"),
        ("<style>p{color:#fff}</style>", "`<style>`"),
        ("<script>x</script>", "`<script>`"),
        ("<head><base href=https://evil.example/></head>", "`<base>`"),
        ("<meta http-equiv=refresh content='0;url=https://evil.example/'>", "`<meta http-equiv>`"),
        ("<form><input></form>", "`<form>`"),
        ("<svg><text>x</text></svg>", "svg"),
        ("<template>x</template>", "`<template>`"),
        ("<details><summary>x</summary>y</details>", "`<details>`"),
        ("10<sup>2</sup>", "as in `10^2`"),
        ("<q>x</q>", "`<q>`"),
        ("<bdo dir=rtl>123</bdo>", "`<bdo>`"),
        ("<p dir=rtl>Pay 900 - 5</p>", "mixes directions"),
        ("<p dir=auto>א 900</p>", "mixes directions"),
        ("<font color=white>x</font>", "`<font>`"),
        ("<li>x</li>", "put it into `<ul>`"),
        ("<ul>x</ul>", "text straight in `<ul>`"),
        ("<ol><li value=7>x</ol>", "the attribute `value`"),
        ("<ol start=-1><li>x</ol>", "a list that starts at `-1`"),
        ("<ol reversed><li>x</ol>", "the attribute `reversed`"),
        ("<table><caption>x</caption><tr><td>y</table>", "a paragraph above the table"),
        ("<table><tr><td colspan=2>y</table>", "a cell for each column"),
        ("<table><tr><td>a<br>b</table>", "give each line a row of its own"),
        ("<table><tr><td><p>a</p><p>b</p></table>", "several paragraphs in a cell"),
        ("<table><tr><td>a<table><tr></tr></table></td><td>b</table>", "a block in a cell"),
        ("<table><tr><td><ul><li>a</ul></table>", "a block in a cell"),
        ("<h1>a<table><tr><td>b</table></h1>", "there it holds text alone"),
        ("<pre>a<div>b</div></pre>", "`<div>` in `<pre>`"),
        ("<a href='javascript:alert(1)'>x</a>", "the link `javascript:alert(1)`"),
        ("<a href=/relative>x</a>", "the link `/relative`"),
        ("<a href=https:///evil.example/>x</a>", "the link"),
        ("<p>a\u{0}b</p>", "the control character"),
        ("<p>a&#1;b</p>", "the control character"),
        ("<pre>a&#13;b</pre>", "the control character"),
        (&"<blockquote>".repeat(17), "lists and quotes in one another"),
        (&"<div>".repeat(200), "elements in one another"),
        (&format!("<p {}>", "a ".repeat(5_000)), "a tag of more than"),
        (&"<p>x</p>".repeat(HTML_BYTES_MAX / 8 + 1), "longer than"),
        (&"<p>x".repeat(HTML_BYTES_MAX / 4 - 1), "elements and texts"),
        (
            &format!("<b><i><u>{}</u></i></b>", "x<p>".repeat(6_000)),
            "once every element in it is written out",
        ),
    ] {
        assert!(refusal(body).contains(told), "{}: {}", &body[..body.len().min(80)], refusal(body));
    }
}

#[test]
fn structure_is_drawn_in_marks_that_no_text_can_show() {
    for (body, expected) in [
        (
            "<p>Hello\n  <strong>team</strong>,<br>Ada</p>\n<hr>\n<p>x</p>",
            "Hello team,\nAda\n\n⟦a line across⟧\n\nx",
        ),
        ("please do <s>not</s> pay", "please do ⟦struck out: not⟧ pay"),
        (
            "<ul><li>one</li><li><p>two</p><ol start=9><li>a<br>b</li><li></li></ol></li></ul>c",
            "⟦-⟧ one\n⟦-⟧ two\n    ⟦9.⟧ a\n        b\n    ⟦10.⟧ \n\nc",
        ),
        (
            "<table><tr><th>n</th><th>of</th></tr><tr><td></td><td>1 | 2</td></tr></table>",
            "⟦row 1, column 1⟧ n\n⟦row 1, column 2⟧ of\n⟦row 2, column 1⟧ \n⟦row 2, column 2⟧ 1 | 2",
        ),
        ("a<blockquote><p>b</p><blockquote>c</blockquote></blockquote>d", "a\n\n⟦>⟧ b\n⟦>⟧\n⟦>⟧ ⟦>⟧ c\n\nd"),
        (
            "1. a<p>&gt; b</p><p>---</p><p>c[1]</p><p>⟦row 1⟧〚</p>",
            "1. a\n\n> b\n\n---\n\nc[1]\n\n\\u{27e6}row 1\\u{27e7}\\u{301a}",
        ),
        (
            "<a href='https://a.example/'>the <b>report</b></a> and <s>not <a href='mailto:b@c.d'>this</a></s>",
            "the report⟦1⟧ and ⟦struck out: not this⟦2⟧⟧",
        ),
        ("<pre>  x\n\ty</pre>", "  x\n        y"),
        ("a&nbsp;&nbsp;b", "a  b"),
        ("<p>שלום, עולם!</p>", "שלום, עולם!"),
        ("<a href='https://a.example/'>שלום</a>", "\\u{5e9}\\u{5dc}\\u{5d5}\\u{5dd}⟦1⟧"),
        ("<p>DE89 א 37 04</p>", "DE89 \\u{5d0} 37 04\n⟦a reader sees⟧ DE89 04 37 \\u{5d0}"),
        ("<ul><li>5 א 6</ul>", "⟦-⟧ 5 \\u{5d0} 6\n    ⟦a reader sees⟧ 5 6 \\u{5d0}"),
    ] {
        assert_eq!(drawn(body), expected, "{body}");
    }
}

#[test]
fn the_words_of_a_body_hold_nothing_of_ours() {
    let body = "<p>See <a href='https://a.example/'>a&nbsp;b</a><br>c</p><table><tr><td>EUR 10<td>000</table><ul><li>x<li>y</ul>";
    let rendered = Rendered::of(&html(body));
    assert_eq!(rendered.text, "See a b\nc\n\nEUR 10\n000\n\nx\ny");
    assert_eq!(
        rendered.links,
        [Link { text: "a b".into(), href: "https://a.example/".into(), ..Link::default() }]
    );
}

#[test]
fn plain_text_leaves_with_its_tabs_and_line_ends_written_out() {
    let text = "Vendor\t\tPay\tRefuse\r\nACME Ltd\t\t900\rEvil\u{4e2d}\t9\n";
    let expected = "Vendor          Pay     Refuse\nACME Ltd                900\nEvil\u{4e2d}  9\n";
    assert_eq!(canonical(BodyKind::Text, text).as_deref(), Ok(expected));
    assert_eq!(canonical(BodyKind::Text, expected).as_deref(), Ok(expected));
    let action = Action { body: expected.into(), ..sample() };
    assert_eq!(Rendered::of(&action).drawn, expected);
}

#[test]
fn a_line_of_text_that_mixes_directions_is_drawn_in_every_order() {
    let body = "⟦a reader sees⟧ x\nIBAN DE89 א 3704 0044\nשלום!";
    let rendered = Rendered::of(&Action { body: body.into(), ..sample() });
    assert_eq!(
        rendered.drawn,
        "\\u{27e6}a reader sees\\u{27e7} x\nIBAN DE89 \\u{5d0} 3704 0044\n⟦some readers see⟧ IBAN DE89 0044 3704 \\u{5d0}\n\
         ⟦some readers see⟧ 0044 3704 \\u{5d0} IBAN DE89\nשלום!"
    );
    assert_eq!((rendered.text.as_str(), rendered.mixed), (body, vec!["IBAN DE89 א 3704 0044".to_owned()]));
}

#[test]
fn reading_takes_time_in_proportion_to_a_hostile_body() {
    let fill = |unit: &str| unit.repeat(HTML_BYTES_MAX / unit.len());
    let attributes: String = (0..5_000).map(|number| format!("<font a{number}=1>")).collect();
    for body in [
        fill("<b>"),
        fill("<p><b>x"),
        fill("<a href=x><p>"),
        fill("<table>x"),
        fill("<table><tr><td>"),
        fill("</p>"),
        fill("<p>א 1 "),
        fill("<"),
        fill("<!--"),
        fill("&lt"),
        fill("<li><ul>"),
        attributes[..HTML_BYTES_MAX].to_owned() + "<p>x",
        fill("<i a=1><i b=1></p><p>"),
        fill("<svg><desc><b>"),
        fill("(א"),
    ] {
        let began = Instant::now();
        let _ = canonical(BodyKind::Html, &body)
            .map(|body| Rendered::of(&Action { body_kind: BodyKind::Html, body, ..sample() }));
        assert!(began.elapsed() < Duration::from_secs(10), "{}: {:?}", &body[..20], began.elapsed());
    }
    for unit in ["א1(", "\u{2029}א1", "\u{2067}1", "\u{202b}a", "א", "⟦", "\t"] {
        let text = unit.repeat(100_000);
        let began = Instant::now();
        let body = canonical(BodyKind::Text, &text).unwrap();
        assert!(Rendered::of(&Action { body, ..sample() }).drawn.len() < 40 * text.len());
        assert!(began.elapsed() < Duration::from_secs(10), "{unit:?}: {:?}", began.elapsed());
    }
}

/// HTML as it comes: pieces of it in any order, misnested and cut.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<p>",
        "</p>",
        "<br>",
        "<b>",
        "</b>",
        "<s>",
        "</s>",
        "<i class=x>",
        "</i>",
        "<u>",
        "<code>",
        "</code>",
        "<div>",
        "</div>",
        "<ul>",
        "</ul>",
        "<ol>",
        "<ol start=3>",
        "</ol>",
        "<li>",
        "</li>",
        "<table>",
        "</table>",
        "<tr>",
        "<td>",
        "<th>",
        "</td>",
        "<thead>",
        "<tfoot>",
        "<blockquote>",
        "</blockquote>",
        "<pre>",
        "</pre>",
        "<hr/>",
        "<h2>",
        "</h2>",
        "</a>",
        "<a href=https://x.example/?a&b>",
        "<a href='mailto:a@b.c'>",
        "<!-- c -->",
        " ",
        "\n",
        "\t",
        "&nbsp;",
        "&lt;",
        "a",
        "b 1",
        "x  y",
        "א",
        "שלום",
        "ب",
        "٥",
        "(",
        ")",
        "⟦",
        "\u{202e}",
        "\r\n",
        "中",
        "é\u{301}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

#[test]
fn a_long_link_over_many_lines_is_given_up_where_it_is_too_long() {
    let href = format!("https://x.example/{}", "&".repeat(1_900));
    let written = format!("<p><a href='{href}'>{}</a></p>", "x<br>".repeat(9_900));
    assert!(written.len() < HTML_BYTES_MAX);
    let tree = parse(&written).unwrap();
    // One text for all of them.
    assert!(
        tree.links.len() == 9_900
            && tree.links.windows(2).all(|two| std::sync::Arc::ptr_eq(&two[0], &two[1]))
    );
    assert_eq!(generate(&tree), None);
    assert!(canonical(BodyKind::Html, &written).unwrap_err().message.contains("is HTML longer than"));
    assert_eq!(words_of(&written), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn what_leaves_is_its_own_canonical_form(written in soup()) {
        if let Ok(body) = canonical(BodyKind::Html, &written) {
            let tree = parse(&written).unwrap();
            prop_assert_eq!(parse(&body), Ok(tree.clone()), "{}", body);
            prop_assert_eq!(generate(&tree), Some(body.clone()));
            prop_assert_eq!(canonical(BodyKind::Html, &body), Ok(body));
        }
    }

    #[test]
    fn every_letter_a_browser_shows_is_drawn_and_no_other(written in soup()) {
        if let Ok(tree) = parse(&written) {
            let rendered = draw::tree(tree, Base::Left);
            let letters = |text: &str| text.chars().filter(|c| "abxy⟦אבшלوםب٥中".contains(*c)).collect::<String>();
            let document = dom::Document::read(&written).unwrap();
            let mut shown = String::new();
            collect(&document, 0, &mut shown);
            let sorted = |text: String| { let mut all: Vec<_> = text.chars().collect(); all.sort_unstable(); all };
            // Rows move: the head of a table is above it wherever it is written.
            prop_assert_eq!(sorted(letters(&rendered.text)), sorted(letters(&shown)));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(written in "(</?(p|li|ul|tr|td|table|a|pre|x|select|svg|template)>|<a href=\"|\">|&amp;|&|<|>|\\PC|\r|\n){0,60}") {
        let _ = canonical(BodyKind::Html, &written);
    }

    #[test]
    fn plain_text_is_its_own_canonical_form(written in "(\\PC|\r|\n|\t|א|1){0,60}") {
        let body = canonical(BodyKind::Text, &written).unwrap();
        prop_assert!(!body.contains(['\r', '\t']));
        prop_assert_eq!(canonical(BodyKind::Text, &body), Ok(body));
    }
}

fn collect(document: &dom::Document, at: usize, out: &mut String) {
    for child in &document.node(at).children {
        match &document.node(*child).kind {
            dom::Kind::Text(text) => out.push_str(text),
            _ => collect(document, *child, out),
        }
    }
}
