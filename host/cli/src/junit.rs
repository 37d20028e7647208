//! The report `countersign test --junit` writes, in the dialect of JUnit that build servers read.

use countersign_harness::{Outcome, Went, files};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Writes the report, so that whoever reads the file finds all of it or none.
pub fn write(file: &Path, outcomes: &[Outcome]) -> io::Result<()> {
    let report = report(outcomes);
    // A device or a pipe, as `/dev/stdout` leads to one, is written to and not replaced.
    if file.metadata().is_ok_and(|found| !found.is_file()) {
        return std::fs::write(file, report);
    }
    files::write(file, report.as_bytes())
}

fn report(outcomes: &[Outcome]) -> String {
    let failures = outcomes.iter().filter(|outcome| matches!(outcome.went, Went::Failed(_))).count();
    let seconds = |millis: u64| format!("{}.{:03}", millis / 1000, millis % 1000);
    let counts = format!(
        r#"tests="{}" failures="{failures}" errors="0" skipped="0" time="{}""#,
        outcomes.len(),
        seconds(outcomes.iter().map(|outcome| outcome.millis).sum())
    );
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites {counts}>\n  <testsuite name=\"countersign\" {counts}>");
    for outcome in outcomes {
        let (group, name) = outcome.name.rsplit_once('/').unwrap_or(("scenarios", &outcome.name));
        let _ = write!(
            out,
            r#"    <testcase classname="{}" name="{}" time="{}""#,
            escaped(group),
            escaped(name),
            seconds(outcome.millis)
        );
        let _ = match &outcome.went {
            Went::Failed(why) => writeln!(
                out,
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                escaped(why.lines().next().unwrap_or_default()),
                escaped(why)
            ),
            Went::Passed | Went::Written => writeln!(out, "/>"),
        };
    }
    out += "  </testsuite>\n</testsuites>\n";
    out
}

/// Text as it may stand in XML 1.0, between tags and in quotes. What that cannot hold at all is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\t' | '\n' => out.push(c),
            '\r' => out += "&#13;",
            '\u{0}'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_a_link_to_one_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("report.xml"), folder.path().join("link"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::fs::write(&file, "before").unwrap();
        write(&link, &[]).unwrap();
        assert!(!link.is_symlink() && std::fs::read_to_string(&file).unwrap() == "before");
        for path in [&file, &link] {
            write(path, &[]).unwrap();
            assert!(std::fs::read_to_string(path).unwrap().starts_with("<?xml"));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing temporary is left");
    }

    #[test]
    fn the_report_is_xml_whatever_stands_in_it() {
        let outcome =
            |name: &str, went, millis| Outcome { name: name.into(), about: String::new(), went, millis };
        let why = "not \u{1b}[31m \"what\" <was> & ]]> expected\n-a\n+b\u{0}\u{ffff}";
        let outcomes = [outcome("a", Went::Passed, 1_005), outcome("g\"/<b>", Went::Failed(why.into()), 20)];
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"1.025\">
  <testsuite name=\"countersign\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"1.025\">
    <testcase classname=\"scenarios\" name=\"a\" time=\"1.005\"/>
    <testcase classname=\"g&quot;\" name=\"&lt;b&gt;\" time=\"0.020\">
      <failure message=\"not \u{fffd}[31m &quot;what&quot; &lt;was&gt; &amp; ]]&gt; expected\">not \u{fffd}[31m &quot;what&quot; &lt;was&gt; &amp; ]]&gt; expected
-a
+b\u{fffd}\u{fffd}</failure>
    </testcase>
  </testsuite>
</testsuites>
";
        assert_eq!(report(&outcomes), expected);
    }
}
