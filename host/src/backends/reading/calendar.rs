//! What an invitation says: RFC 5545, of which mail needs what happens, when and where.

use std::fmt::Write as _;

/// The most events of one calendar that are told.
const EVENTS_MAX: usize = 20;

/// The events, a line for each of what they say. Times are as written: `20240401T090000Z` is UTC, others have their zone behind them.
pub fn text(calendar: &str) -> String {
    let lines = calendar.replace("\n ", "").replace("\n\t", "");
    let (mut out, mut events, mut in_event, mut nested) = (String::new(), 0, false, 0u32);
    for line in lines.lines() {
        let Some((head, value)) = split(line) else { continue };
        let name = head.split(';').next().unwrap_or_default().to_ascii_uppercase();
        match (&name[..], value) {
            ("BEGIN", "VEVENT" | "VTODO") if events < EVENTS_MAX => {
                (in_event, events, nested) = (true, events + 1, 0);
                if !out.is_empty() {
                    out.push('\n');
                }
            }
            ("END", "VEVENT" | "VTODO") => in_event = false,
            // An alarm has a summary of its own.
            ("BEGIN", _) => nested += 1,
            ("END", _) => nested = nested.saturating_sub(1),
            ("METHOD", "CANCEL") => out += "Cancelled\n",
            _ if in_event && nested == 0 => tell(&name, head, value, &mut out),
            _ => {}
        }
    }
    out
}

fn tell(name: &str, head: &str, value: &str, out: &mut String) {
    let label = match name {
        "SUMMARY" => "Event",
        "DTSTART" => "Starts",
        "DTEND" | "DUE" => "Ends",
        "DURATION" => "Lasts",
        "RRULE" => "Repeats",
        "LOCATION" => "Where",
        "ORGANIZER" => "Organizer",
        "STATUS" => "Status",
        "DESCRIPTION" => "About",
        _ => return,
    };
    let zone = head.split(';').find_map(|parameter| parameter.strip_prefix("TZID="));
    let zone = zone.map(|zone| format!(" {}", zone.trim_matches('"'))).unwrap_or_default();
    let _ = writeln!(out, "{label}: {}{zone}", unescaped(value));
}

/// Splits at the first colon that stands in no quotes.
fn split(line: &str) -> Option<(&str, &str)> {
    let mut in_quotes = false;
    let colon = line.bytes().position(|byte| {
        in_quotes ^= byte == b'"';
        byte == b':' && !in_quotes
    })?;
    Some((&line[..colon], &line[colon + 1..]))
}

fn unescaped(value: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(value.len()), value.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(c) => out.push(c),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_says_what_when_and_where() {
        let calendar = "BEGIN:VCALENDAR\nMETHOD:CANCEL\nBEGIN:VTIMEZONE\nDTSTART:19700101T000000\nEND:VTIMEZONE\nBEGIN:VEVENT\n\
                        SUMMARY;LANGUAGE=en:Quarterly\\, long\n er review\nDTSTART;TZID=\"Europe/Berlin\":20240401T090000\n\
                        DTEND:20240401T090000Z\nLOCATION:Room 5\nUID:1\nBEGIN:VALARM\nSUMMARY:ding\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n";
        let expected = "Cancelled\n\nEvent: Quarterly, longer review\nStarts: 20240401T090000 Europe/Berlin\nEnds: 20240401T090000Z\nWhere: Room 5\n";
        assert_eq!(text(calendar), expected);
        assert_eq!(text("BEGIN:VEVENT\nSUMMARY"), "");
    }
}
