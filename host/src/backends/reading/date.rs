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

/// Months in languages whose programs write them so, by their beginnings, as far as no other month begins so.
#[rustfmt::skip]
const OTHER_MONTHS: &[(&str, i8)] = &[
    ("janv", 1), ("ene", 1), ("gen", 1), ("févr", 2), ("fév", 2), ("märz", 3), ("mär", 3), ("mrt", 3), ("maart", 3), ("mars", 3), ("avr", 4),
    ("abr", 4), ("mai", 5), ("mei", 5), ("maj", 5), ("mag", 5), ("juin", 6), ("giu", 6), ("juil", 7), ("lug", 7), ("août", 8), ("ago", 8),
    ("set", 9), ("okt", 10), ("ott", 10), ("out", 10), ("dez", 12), ("déc", 12), ("dic", 12),
];

#[derive(Clone, Copy, Default)]
struct Found {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    time: Option<(i8, i8, i8)>,
    afternoon: Option<bool>,
    /// Minutes east of Greenwich.
    offset: Option<i32>,
}

/// Reads a date and a time of day. Without a zone, and in a zone nobody knows, it is taken for UTC: RFC 5322, 4.3, on `-0000`. What
/// stands behind a date and a time and is neither is passed over.
pub fn parse(text: &str) -> Option<Millis> {
    let text =
        without_comments(&text[..text.floor_char_boundary(DATE_BYTES_MAX)]).to_lowercase().replace('−', "-");
    let mut found = Found::default();
    let tokens =
        text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '"')).filter(|token| !token.is_empty());
    for (number, token) in tokens.enumerate() {
        let mut with = found;
        match with.take(token) {
            Some(()) => found = with,
            // Programs write the names of days in any language.
            None if found.is_whole()
                || number == 0 && token.chars().all(|c| c.is_alphabetic() || c == '.') => {}
            None => return None,
        }
    }
    found.instant()
}

/// The date of a line that a server writes, behind its last semicolon that is in no comment: RFC 5322, 3.6.7.
pub fn of_trace(value: &str) -> Option<Millis> {
    let value = without_comments(value);
    parse(value.rsplit_once(';')?.1)
}

/// A comment that does not end goes on to the end.
fn without_comments(text: &str) -> String {
    let mut depth = 0u32;
    let outside = text.chars().filter(|c| {
        depth += u32::from(*c == '(');
        let is_outside = depth == 0;
        depth = depth.saturating_sub(u32::from(*c == ')'));
        is_outside
    });
    outside.collect()
}

impl Found {
    fn is_whole(&self) -> bool {
        self.day.is_some() && self.month.is_some() && self.year.is_some() && self.time.is_some()
    }

    /// `None` for what makes it no date.
    fn take(&mut self, token: &str) -> Option<()> {
        let token = token.trim_end_matches(['.', ';']);
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
        // `15.03.2024`, and behind a day `14.30.00`.
        if digits > 0 && token[digits..].starts_with('.') {
            let parts: Vec<_> = token.split('.').collect();
            return match parts[..] {
                [day, month, year] if year.len() == 4 && self.day.is_none() => {
                    self.numbered(year, month, day)
                }
                [_, _, second] if self.day.is_some() && second.len() == 2 => {
                    self.time(&token.replace('.', ":"))
                }
                _ => None,
            };
        }
        // `2024/03/15`; of `03/04/2024` nobody knows which is the day.
        if digits == 4 && token[digits..].starts_with('/') {
            let (year, rest) = token.split_once('/')?;
            let (month, day) = rest.split_once('/')?;
            return self.numbered(year, month, day);
        }
        if token == "at" {
            return Some(());
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

    fn numbered(&mut self, year: &str, month: &str, day: &str) -> Option<()> {
        self.year = Some(year.parse().ok()?);
        self.month = Some(month.parse().ok()?);
        self.day = Some(day.parse().ok()?);
        Some(())
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
        if let Some(month) = month(token).filter(|_| !self.is_whole()) {
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
    let index = MONTHS.iter().position(|month| token.len() >= 3 && month.starts_with(token));
    let other = || OTHER_MONTHS.iter().find(|(month, _)| token.starts_with(month)).map(|(_, number)| *number);
    index.and_then(|index| i8::try_from(index + 1).ok()).or_else(other)
}

/// Two and three digits as RFC 5322, 4.3 has them.
fn year(token: &str) -> Option<i16> {
    let year: i16 = token.parse().ok()?;
    match (token.len(), year) {
        // Of `0024` too: nobody had mail then.
        (..=2 | 4, ..=49) => Some(year + 2000),
        (..=3, _) | (4, ..=99) => Some(year + 1900),
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
            ("Mon, 1 Jan 0001 00:00:00 +0000", "2001-01-01T00:00:00Z"),
            ("Fri, 15 Mar 0024 14:30:00 +0000", "2024-03-15T14:30:00Z"),
            ("Fri, 15 Mar 2024 14.30.00 +0100", "2024-03-15T13:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00 +0000 (GMT", "2024-03-15T14:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00 0200", "2024-03-15T14:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00 +01 00", "2024-03-15T13:30:00Z"),
            ("2024-03-15 14:30:00.123 +0100 UTC m=+0.01", "2024-03-15T13:30:00Z"),
            ("Fr, 15 Mär 2024 14:30:00 +0100", "2024-03-15T13:30:00Z"),
            ("vr, 15 mrt 2024 14:30:00 +0100", "2024-03-15T13:30:00Z"),
            ("ven., 15 mars 2024 14:30:00 +0100", "2024-03-15T13:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00 +0100.", "2024-03-15T13:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00 +0100;", "2024-03-15T13:30:00Z"),
            ("\"Fri, 15 Mar 2024 14:30:00 +0100\"", "2024-03-15T13:30:00Z"),
            ("Fri, 15 Mar 2024 at 14:30:00 +0100", "2024-03-15T13:30:00Z"),
            ("March 15, 2024 2:30 PM", "2024-03-15T14:30:00Z"),
            ("15.03.2024 14:30:00", "2024-03-15T14:30:00Z"),
            ("2024/03/15 14:30:00 +0100", "2024-03-15T13:30:00Z"),
            ("15 Mar 2024 14:30:00,123 +0100", "2024-03-15T13:30:00Z"),
            ("15 Mar 2024 14:30:00 +24:00", "2024-03-15T14:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00 America/New_York", "2024-03-15T14:30:00Z"),
            ("Fri, 15\u{a0}Mar 2024 14:30:00 \u{2212}0400", "2024-03-15T18:30:00Z"),
            ("Mon, 1 Jan 2024 10:00 +9999", "2024-01-01T10:00:00Z"),
            ("Fri, 15 Mar; 2024 14:30:00 +0100", "2024-03-15T13:30:00Z"),
            ("Fri, 15 Mar 2024 14:30:00 Uhr", "2024-03-15T14:30:00Z"),
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
            "03/04/2024 10:00:00",
            "15.03.2024",
            "one two 15 Mar 2024 14:30:00",
            "Mon, 1 Jan 99999 10:00:00 +0000",
            "1 Jan 2 Feb 2024 10:00:00",
            "10:00 11:00 1 Jan 2024",
            "é:00:00",
            "Fri, 15 Mar 2024 14:3x:00 +0000",
            "Fri, 15 Mar 2024 14:30:00? +0000",
            "Fri, 15 Mar 2024 14:4Organization: x",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
