//! Dates as mail writes them: RFC 5322, 3.3 and 4.3, asctime, and what programs made of them. A date that is none, such as the 31st
//! of February or an hour 25, is not bent into one that is.

use crate::clock::Millis;
use jiff::civil;
use jiff::tz::Offset;

/// The most of a date that is read, in bytes.
const DATE_BYTES_MAX: usize = 256;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Zones whose name means one thing, in minutes east of Greenwich. RFC 5322 has all others, and military letters, mean nothing.
const ZONES: &[(&str, i32)] = &[
    ("ut", 0),
    ("utc", 0),
    ("gmt", 0),
    ("z", 0),
    ("est", -300),
    ("edt", -240),
    ("cst", -360),
    ("cdt", -300),
    ("mst", -420),
    ("mdt", -360),
    ("pst", -480),
    ("pdt", -420),
    ("akst", -540),
    ("akdt", -480),
    ("hst", -600),
    ("wet", 0),
    ("west", 60),
    ("cet", 60),
    ("cest", 120),
    ("met", 60),
    ("mest", 120),
    ("eet", 120),
    ("eest", 180),
    ("msk", 180),
    ("jst", 540),
    ("kst", 540),
    ("aest", 600),
    ("aedt", 660),
    ("nzst", 720),
    ("nzdt", 780),
];

#[derive(Default)]
struct Found {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    time: Option<(i8, i8, i8)>,
    afternoon: Option<bool>,
    /// Minutes east of Greenwich.
    offset: Option<i32>,
}

/// Reads a date and a time of day. Without a zone, and in a zone nobody knows, it is taken for UTC: RFC 5322, 4.3, on `-0000`.
pub fn parse(text: &str) -> Option<Millis> {
    let text = without_comments(&text[..text.floor_char_boundary(DATE_BYTES_MAX)])?.to_ascii_lowercase();
    let mut found = Found::default();
    for token in text.split([' ', '\t', '\r', '\n', ',']).filter(|token| !token.is_empty()) {
        found.take(token)?;
    }
    found.instant()
}

/// `None` where a comment does not end.
fn without_comments(text: &str) -> Option<String> {
    let mut depth = 0u32;
    let outside = text.chars().filter(|c| {
        depth += u32::from(*c == '(');
        let is_outside = depth == 0;
        depth = depth.saturating_sub(u32::from(*c == ')'));
        is_outside
    });
    let outside = outside.collect();
    (depth == 0).then_some(outside)
}

impl Found {
    /// `None` for what makes it no date.
    fn take(&mut self, token: &str) -> Option<()> {
        let digits = token.find(|c: char| !c.is_ascii_digit()).unwrap_or(token.len());
        if digits > 0 && token[digits..].starts_with(':') {
            return self.time(token);
        }
        if token.starts_with(['+', '-']) {
            // `-0300` behind a time; nothing else begins so.
            self.time?;
            self.offset = Some(self.offset.unwrap_or_default() + offset(token)?);
            return Some(());
        }
        if digits > 0 && token[digits..].starts_with('-') {
            return self.hyphened(token);
        }
        if digits == token.len() {
            return self.number(token);
        }
        self.word(token)
    }

    /// `14:30`, `14:30:00`, `14:30:00.123`, `14:30:00Z`, `02:30pm`, `14:30:00+0200`.
    fn time(&mut self, token: &str) -> Option<()> {
        let end = token.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.')).unwrap_or(token.len());
        let (clock, rest) = token.split_at(end);
        let clock = clock.split('.').next().unwrap_or_default();
        let number = |part: &str| (1..=2).contains(&part.len()).then(|| part.parse().ok())?;
        let parts: Vec<i8> = clock.split(':').map(number).collect::<Option<_>>()?;
        let (hour, minute, second) = match parts[..] {
            [hour, minute] => (hour, minute, 0),
            [hour, minute, second] => (hour, minute, second),
            _ => return None,
        };
        if self.time.replace((hour, minute, second)).is_some() {
            return None;
        }
        // A zone may stand right behind it, and nothing else.
        match rest.is_empty() || rest.starts_with(['+', '-']) || matches!(rest, "z" | "am" | "pm") {
            true if rest.is_empty() => Some(()),
            true => self.take(rest),
            false => None,
        }
    }

    /// `15-Mar-2024`, `2024-03-15`, `2024-03-15T14:30:00Z`.
    fn hyphened(&mut self, token: &str) -> Option<()> {
        let (date, time) = token.split_once('t').filter(|(date, _)| date.len() == 10).unwrap_or((token, ""));
        let mut parts = date.splitn(3, '-');
        let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
        if first.len() == 4 {
            self.year = Some(first.parse().ok()?);
            self.month = Some(second.parse().ok()?);
            self.day = Some(third.parse().ok()?);
        } else {
            self.day = Some(first.parse().ok()?);
            self.month = Some(month(second)?);
            self.year = Some(year(third)?);
        }
        if time.is_empty() { Some(()) } else { self.time(time) }
    }

    fn number(&mut self, token: &str) -> Option<()> {
        if self.day.is_none() && token.len() <= 2 {
            self.day = Some(token.parse().ok()?);
        } else if self.year.is_none() {
            self.year = Some(year(token)?);
        } else {
            return None;
        }
        Some(())
    }

    fn word(&mut self, token: &str) -> Option<()> {
        if let Some(month) = month(token) {
            return self.month.replace(month).is_none().then_some(());
        }
        let named = token.trim_end_matches('.');
        if WEEKDAYS.iter().any(|day| named.len() >= 2 && day.starts_with(named)) {
            return Some(());
        }
        if let "am" | "pm" = named {
            self.afternoon = Some(named == "pm");
            return Some(());
        }
        self.time?;
        // `GMT+0200`, `UTC-5`: the letters say nothing that the number does not.
        let letters = token.find(['+', '-']).unwrap_or(token.len());
        let (name, number) = token.split_at(letters);
        if !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        let zone = ZONES.iter().find(|(zone, _)| *zone == name).map(|(_, minutes)| *minutes);
        self.offset = match number.is_empty() {
            false => Some(offset(number)?),
            true => self.offset.or(zone),
        };
        Some(())
    }

    fn instant(self) -> Option<Millis> {
        let (mut hour, minute, second) = self.time?;
        if let Some(afternoon) = self.afternoon.filter(|_| hour <= 12) {
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        // A leap second is the second before it, as far as a count of milliseconds goes.
        let second = if second == 60 { 59 } else { second };
        let local = civil::DateTime::new(self.year?, self.month?, self.day?, hour, minute, second, 0).ok()?;
        let offset = Offset::from_seconds(self.offset.unwrap_or_default() * 60).ok()?;
        Some(offset.to_timestamp(local).ok()?.as_millisecond())
    }
}

fn month(token: &str) -> Option<i8> {
    let token = token.trim_end_matches('.');
    let index = MONTHS.iter().position(|month| token.len() >= 3 && month.starts_with(token))?;
    i8::try_from(index + 1).ok()
}

/// Two and three digits as RFC 5322, 4.3 has them.
fn year(token: &str) -> Option<i16> {
    let year: i16 = token.parse().ok()?;
    match (token.len(), year) {
        (..=2, ..=49) => Some(year + 2000),
        (..=3, _) => Some(year + 1900),
        _ => Some(year),
    }
}

/// `+0200`, `-02:00`, `+2`, in minutes; up to a day.
fn offset(token: &str) -> Option<i32> {
    let sign = if token.starts_with('-') { -1 } else { 1 };
    let digits = &token[1..];
    let (hours, minutes) = match (digits.split_once(':'), digits.len()) {
        (Some((hours, minutes)), _) => (hours, minutes),
        (None, 3..=4) => digits.split_at_checked(digits.len() - 2)?,
        (None, 1..=2) => (digits, "0"),
        _ => return None,
    };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i32>().ok())?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::rfc3339;

    fn read(text: &str) -> Option<String> {
        parse(text).map(|at| rfc3339(at).replace(".000Z", "Z"))
    }

    #[test]
    fn dates_are_read_as_they_are_written() {
        let cases = [
            ("Fri, 15 Mar 2024 14:30:00 +0000", "2024-03-15T14:30:00Z"),
            ("15 Mar 2024 14:30 +0200 (CEST (summer))", "2024-03-15T12:30:00Z"),
            ("Tue, 12 May 2020 12:08:24 UT", "2020-05-12T12:08:24Z"),
            ("Tue, 12 May 2020 12:08:24 Z", "2020-05-12T12:08:24Z"),
            ("Thu, 6 Oct 2022 12:27:13 GMT+0200", "2022-10-06T10:27:13Z"),
            ("Thu, 6 Oct 2022 12:27:13 UTC-5", "2022-10-06T17:27:13Z"),
            ("Thu, 6 Oct 2022 12:27:13 UTC+05:30", "2022-10-06T06:57:13Z"),
            ("Thu, 6 Oct 2022 12:27:13 UTC +0100", "2022-10-06T11:27:13Z"),
            ("Fri, 15 Mar 2024 14:30:00 EST", "2024-03-15T19:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00 CET", "2024-03-15T13:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00", "2024-03-15T14:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00 -0000", "2024-03-15T14:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00 K", "2024-03-15T14:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00 Somewhere", "2024-03-15T14:30:00Z"),
            ("Friday, 15 March 2024 14:30:00 +0000", "2024-03-15T14:30:00Z"),
            ("Fri 15 Sept. 2023 14:30:00 +0000", "2023-09-15T14:30:00Z"),
            ("Fri, 15 Mar 2024 02:30:00 PM +0000", "2024-03-15T14:30:00Z"),
            ("Fri, 15 Mar 2024 12:30:00am +0000", "2024-03-15T00:30:00Z"),
            ("15 Mar 24 14:30:00 +0000", "2024-03-15T14:30:00Z"),
            ("15 Mar 99 14:30:00 +0000", "1999-03-15T14:30:00Z"),
            ("15 Mar 101 14:30:00 +0000", "2001-03-15T14:30:00Z"),
            ("Fri Mar 15 14:30:00 2024", "2024-03-15T14:30:00Z"),
            ("Fri Mar 15 14:30:00 +0100 2024", "2024-03-15T13:30:00Z"),
            ("15-Mar-2024 14:30:00 +0000", "2024-03-15T14:30:00Z"),
            ("2024-03-15T14:30:00+02:00", "2024-03-15T12:30:00Z"),
            ("2024-03-15 14:30:00.5Z", "2024-03-15T14:30:00Z"),
            ("Sat, 31 Dec 2016 23:59:60 +0000", "2016-12-31T23:59:59Z"),
            ("Mon, 1 Jan 0001 00:00:00 +0000", "0001-01-01T00:00:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "today",
            "Sat, 31 Feb 2024 12:00:00 +0000",
            "Mon, 1 Jan 2024 25:61:61 +0000",
            "Mon, 1 Jan 2024 24:00:00 +0000",
            "Mon, 1 Jan 2024",
            "Mon, 32 Jan 2024 10:00 +0000",
            "Mon, 1 Foo 2024 10:00 +0000",
            "Mon, 1 Jan 2024 10:00 +9999",
            "Mon, 1 Jan 2024 10:00:00 +00000",
            "Mon, 1 Jan 99999 10:00:00 +0000",
            "1 Jan 2 Feb 2024 10:00:00",
            "10:00 11:00 1 Jan 2024",
            "é:00:00",
            "Fri, 15 Mar 2024 14:3x:00 +0000",
            "Fri, 15 Mar 2024 14:30:00? +0000",
            "Fri, 15 Mar; 2024 14:30:00 +0000",
            "Fri, 15 Mar 2024 14:4Organization: x",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
