//! Numbers in parameters. Agents in JavaScript have doubles, and nothing else: an integer they cannot hold would reach them as another
//! one. So such an integer is refused, and numbers that are the same double are the same parameter.

use crate::refusals::{Code, Problem};
use serde_json::{Map, Number, Value};
use std::fmt::Write as _;

/// The largest integer up to which a double holds each: 2^53.
pub const INTEGER_MAX: u64 = 1 << 53;

/// Refuses JSON text in which an integer is larger than [`INTEGER_MAX`], or as far below zero. It is looked for in the text, as a
/// parser may have rounded it already. Linear; of text that is no JSON nothing is said.
///
/// # Errors
///
/// `INVALID_PARAMETER`, quoting the integer.
pub fn exact(json: &str) -> Result<(), Problem> {
    let mut rest = json;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = &rest[at..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = behind_string(text);
            continue;
        }
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(end);
        rest = behind;
        let digits = number.strip_prefix('-').unwrap_or(number);
        let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty();
        // What 64 bits do not hold is not parsed.
        if is_integer && !digits.parse::<u64>().is_ok_and(|size| size <= INTEGER_MAX) {
            return Err(too_large(number));
        }
    }
    Ok(())
}

/// What stands behind the end of a string whose first quote has been read.
fn behind_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return &text[at + 1..],
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    ""
}

/// The same of what has been parsed, for whoever had no text.
///
/// # Errors
///
/// As [`exact`].
pub fn check(parameters: &Map<String, Value>) -> Result<(), Problem> {
    parameters.values().try_for_each(held)
}

fn held(value: &Value) -> Result<(), Problem> {
    match value {
        Value::Number(number) => {
            let size = number.as_u64().or_else(|| Some(number.as_i64()?.unsigned_abs()));
            match size.is_some_and(|size| size > INTEGER_MAX) {
                true => Err(too_large(&number.to_string())),
                false => Ok(()),
            }
        }
        Value::Array(items) => items.iter().try_for_each(held),
        Value::Object(fields) => check(fields),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

fn too_large(number: &str) -> Problem {
    let shown = crate::printable::short(number, 40);
    let message =
        format!("the integer {shown} is beyond 2^53, and agents would hear another one; write it as text");
    Problem::new(Code::InvalidParameter, message).hint(format!("put it in quotes: \"{shown}\""))
}

/// Parameters as text that is the same for those that mean the same: keys in order, and each number as the double it is.
pub fn canonical(parameters: &Map<String, Value>) -> String {
    let mut out = String::new();
    object(parameters, &mut out);
    out
}

fn object(fields: &Map<String, Value>, out: &mut String) {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by(|one, other| one.0.cmp(other.0));
    out.push('{');
    for (number, (key, value)) in sorted.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        let _ = write!(out, "{}:", Value::from(key.as_str()));
        write_value(value, out);
    }
    out.push('}');
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => object(fields, out),
        Value::Array(items) => {
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Number(number) => {
            let _ = write!(out, "{}", double(number));
        }
        plain => {
            let _ = write!(out, "{plain}");
        }
    }
}

/// A number as the one way to write its double: without a point where it is an integer that doubles hold.
fn double(number: &Number) -> Number {
    match number.as_f64() {
        Some(double) if double.fract() == 0.0 && double.abs() <= INTEGER_MAX as f64 => (double as i64).into(),
        _ => number.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_integer_no_double_holds_is_refused_wherever_it_stands() {
        for wrong in [
            "9007199254740993",
            "-9007199254740993",
            "9007199254740994",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "123456789012345678901234567890",
        ] {
            for json in [
                format!("{{\"n\":{wrong}}}"),
                format!("{{\"a\\\"b\":[\"1\\\\\",{{\"n\": {wrong} }}]}}"),
                format!("[\"{wrong}\",{wrong}]"),
            ] {
                let problem = exact(&json).unwrap_err();
                assert!(
                    problem.message.contains(wrong) && problem.hint.is_some(),
                    "{json}: {}",
                    problem.message
                );
            }
        }
        for held in [
            "9007199254740992",
            "-9007199254740992",
            "0",
            "-0",
            "1.5",
            "6.022e23",
            "1E400",
            "00000000000000000000001",
        ] {
            assert_eq!(
                exact(&format!("{{\"n\":{held},\"9007199254740993\":\"9007199254740993\"}}")),
                Ok(()),
                "{held}"
            );
        }
        assert!(check(&read("{\"a\":[{\"b\":9007199254740993}]}")).is_err());
        assert!(check(&read("{\"a\":[{\"b\":-9007199254740993}]}")).is_err());
        assert!(check(&read("{\"a\":[{\"b\":9007199254740992}],\"c\":\"9007199254740993\"}")).is_ok());
    }

    #[test]
    fn what_means_the_same_is_the_same_text_and_what_does_not_is_not() {
        let same = |one: &str, other: &str| canonical(&read(one)) == canonical(&read(other));
        assert!(same(
            "{\"a\":1,\"b\":{\"c\":[1.0,2],\"d\":null}}",
            "{\"b\":{\"d\":null,\"c\":[1,2.0]},\"a\":1e0}"
        ));
        assert!(same("{\"a\":-0.0}", "{\"a\":0}"));
        assert!(same("{\"a\":0.10}", "{\"a\":1e-1}"));
        for (one, other) in [
            ("{\"a\":1}", "{\"a\":\"1\"}"),
            ("{\"a\":1}", "{\"a\":true}"),
            ("{\"a\":[1,2]}", "{\"a\":[2,1]}"),
            ("{\"a\":1}", "{\"a\":1,\"b\":null}"),
            ("{\"a\":\"x,\\\"b\\\":1\"}", "{\"a\":\"x\",\"b\":1}"),
            ("{\"a\":0.1}", "{\"a\":0.2}"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn looking_at_any_text_ends_and_never_panics(text in "[-0-9a-zé\"\\\\.{}\\[\\]:, ]{0,60}") {
            let _ = exact(&text);
        }

        #[test]
        fn text_and_value_agree_on_integers_of_64_bits(number in any::<i64>()) {
            let text = format!("{{\"n\":{number}}}");
            prop_assert_eq!(exact(&text).is_ok(), check(&read(&text)).is_ok());
        }
    }
}
