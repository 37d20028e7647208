//! A form drawn from the JSON Schema of an action's parameters, and what somebody typed into it read back.
//!
//! The schema is the agent's and hostile. It decides which fields there are, and nothing else: what is typed is judged by the host
//! before the agent hears of it.

use super::text;
use countersign::intent::numbers;
use countersign::printable::{ascii, printable, short};
use maud::{Markup, html};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// How many fields a form has at most; with more parameters it is one field of JSON.
const FIELDS_MAX: usize = 100;
/// How many choices a field offers at most; with more it is typed.
const CHOICES_MAX: usize = 200;
/// From which length a text gets more than one line.
const LINE_LENGTH_MAX: u64 = 200;
/// How much of a description is shown, in characters.
const DESCRIPTION_CHARS_MAX: usize = 500;

/// What was typed, by the name of its field.
pub type Typed = BTreeMap<String, String>;

/// The field that holds all parameters at once, as JSON.
pub const WHOLE: &str = "parameters";

/// One parameter as its schema describes it.
#[derive(Debug)]
struct Parameter<'a> {
    name: &'a str,
    schema: &'a Value,
    kind: Kind<'a>,
    required: bool,
}

#[derive(Debug)]
enum Kind<'a> {
    Text,
    Integer,
    Number,
    Boolean,
    Choice(&'a [Value]),
    Texts,
    Json,
}

impl<'a> Kind<'a> {
    fn of(schema: &'a Value) -> Kind<'a> {
        if let Some(choices) = schema["enum"].as_array() {
            let plain = choices
                .iter()
                .all(|choice| matches!(choice, Value::String(_) | Value::Number(_) | Value::Bool(_)));
            return if plain && choices.len() <= CHOICES_MAX { Kind::Choice(choices) } else { Kind::Json };
        }
        match schema["type"].as_str() {
            Some("string") => Kind::Text,
            Some("integer") => Kind::Integer,
            Some("number") => Kind::Number,
            Some("boolean") => Kind::Boolean,
            Some("array") if schema["items"]["type"] == "string" && schema["items"].get("enum").is_none() => {
                Kind::Texts
            }
            _ => Kind::Json,
        }
    }
}

/// The parameters a schema lists by name; nothing where a form cannot tell them all.
fn parameters(schema: Option<&Value>) -> Option<Vec<Parameter<'_>>> {
    let schema = schema?;
    let properties = match schema.get("properties") {
        Some(properties) => properties.as_object()?,
        None if schema["additionalProperties"] == false => return Some(Vec::new()),
        None => return None,
    };
    if properties.len() > FIELDS_MAX {
        return None;
    }
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut parameters = Vec::with_capacity(properties.len());
    for (name, schema) in properties {
        parameters.push(Parameter {
            name,
            schema,
            kind: Kind::of(schema),
            required: required.contains(&name.as_str()),
        });
    }
    Some(parameters)
}

/// The name of a parameter's field.
fn field(name: &str) -> String {
    format!("p.{name}")
}

/// Draws the fields. `typed` is what was typed before, if anything.
pub fn fields(schema: Option<&Value>, typed: &Typed) -> Markup {
    let Some(parameters) = parameters(schema) else {
        return html! {
            p.field {
                label for="parameters" { "Parameters " span.quiet { "(a JSON object; may stay empty)" } }
                textarea #parameters name=(WHOLE) rows="6" spellcheck="false" {
                    "\n" (ascii(typed.get(WHOLE).map_or("", String::as_str)))
                }
            }
        };
    };
    html! {
        @if parameters.is_empty() { p.quiet { "It takes no parameters." } }
        @for (number, parameter) in parameters.iter().enumerate() {
            (one(parameter, number, typed.get(&field(parameter.name)).map(String::as_str)))
        }
    }
}

fn one(parameter: &Parameter<'_>, number: usize, typed: Option<&str>) -> Markup {
    let Parameter { name, schema, kind, required } = parameter;
    let (id, about) = (format!("parameter-{number}"), format!("about-{number}"));
    let default = &schema["default"];
    let value = match (typed, default) {
        (Some(typed), _) => typed.to_owned(),
        (None, Value::String(text)) => text.clone(),
        (None, Value::Null) => String::new(),
        (None, Value::Array(items)) if matches!(kind, Kind::Texts) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
        }
        (None, other) => other.to_string(),
    };
    // What is seen is what is sent: where something hides, its escape is. JSON has escapes of its own, which read the same.
    let shown = if matches!(kind, Kind::Json) { ascii(&value) } else { printable(&value) };
    let number_of = |bound: &str| schema[bound].as_f64().map(|bound| bound.to_string());
    let hint = hint(schema, kind);
    let described = Some(about.as_str()).filter(|_| !hint.is_empty() || schema["description"].is_string());
    // Text may be empty where it must be given; only its schema knows.
    let must = *required && !matches!(kind, Kind::Text | Kind::Texts);
    let name = field(name);
    html! {
        div.field {
            label for=(id) {
                (text::brief(parameter.name, 100)) " "
                span.quiet { @if *required { "(required)" } @else { "(optional)" } }
            }
            @match kind {
                Kind::Text if schema["maxLength"].as_u64().is_some_and(|most| most > LINE_LENGTH_MAX) || shown.contains('\n') => {
                    textarea id=(id) name=(name) rows="5" aria-describedby=[described] { "\n" (shown) }
                }
                Kind::Text => {
                    input id=(id) type="text" name=(name) value=(shown) aria-describedby=[described] autocomplete="off";
                }
                Kind::Integer => {
                    input id=(id) type="number" step="1" name=(name) value=(shown) min=[number_of("minimum")] max=[number_of("maximum")]
                        required[must] aria-describedby=[described];
                }
                Kind::Number => {
                    input id=(id) type="number" step="any" name=(name) value=(shown) min=[number_of("minimum")] max=[number_of("maximum")]
                        required[must] aria-describedby=[described];
                }
                Kind::Boolean => {
                    select id=(id) name=(name) required[must] aria-describedby=[described] {
                        option value="" { "not given" }
                        option value="true" selected[value == "true"] { "yes" }
                        option value="false" selected[value == "false"] { "no" }
                    }
                }
                Kind::Choice(choices) => {
                    select id=(id) name=(name) required[must] aria-describedby=[described] {
                        option value="" { "not given" }
                        @for (number, choice) in choices.iter().enumerate() {
                            @let chosen = typed.map_or(choice == default, |typed| typed == number.to_string());
                            option value=(number) selected[chosen] { (text_of(choice)) }
                        }
                    }
                }
                Kind::Texts => {
                    textarea id=(id) name=(name) rows="3" aria-describedby=[described] { "\n" (shown) }
                }
                Kind::Json => {
                    textarea id=(id) name=(name) rows="4" spellcheck="false" required[must] aria-describedby=[described] { "\n" (shown) }
                }
            }
            @if let Some(about) = described {
                p.quiet id=(about) {
                    @if let Some(description) = schema["description"].as_str() {
                        (text::brief(description, DESCRIPTION_CHARS_MAX)) " "
                    }
                    (text::brief(&hint, DESCRIPTION_CHARS_MAX))
                }
            }
        }
    }
}

/// A choice as an option shows it: `<option>` has room for text alone.
fn text_of(choice: &Value) -> String {
    match choice {
        Value::String(text) => short(text, 200),
        other => other.to_string(),
    }
}

/// What may be typed, in words.
fn hint(schema: &Value, kind: &Kind<'_>) -> String {
    let mut parts = Vec::new();
    match kind {
        Kind::Texts => parts.push("One per line.".to_owned()),
        Kind::Json => parts.push("As JSON.".to_owned()),
        Kind::Integer => parts.push("A whole number.".to_owned()),
        _ => {}
    }
    let bounds = [
        ("minimum", "At least"),
        ("exclusiveMinimum", "More than"),
        ("maximum", "At most"),
        ("exclusiveMaximum", "Less than"),
        ("minLength", "Characters: at least"),
        ("maxLength", "Characters: at most"),
        ("minItems", "How many: at least"),
        ("maxItems", "How many: at most"),
    ];
    for (name, words) in bounds {
        if schema[name].is_number() {
            parts.push(format!("{words} {}.", schema[name]));
        }
    }
    for (name, words) in [("pattern", "Pattern:"), ("format", "Format:")] {
        if let Some(value) = schema[name].as_str() {
            parts.push(format!("{words} {value}"));
        }
    }
    parts.join(" ")
}

/// Reads what was typed: the parameters, to be judged by the host.
///
/// # Errors
///
/// Which field is at fault, and how: what is no number, or no JSON.
pub fn read(schema: Option<&Value>, typed: &Typed) -> Result<Map<String, Value>, String> {
    // A card's action, and an agent that lists no parameters, hand them over whole.
    if let Some(whole) = typed.get(WHOLE) {
        if whole.trim().is_empty() {
            return Ok(Map::new());
        }
        return serde_json::from_str(whole)
            .map_err(|error| format!("the parameters are no JSON object: {error}"));
    }
    let mut read = Map::new();
    for Parameter { name, kind, required, .. } in parameters(schema).unwrap_or_default() {
        let Some(text) = typed.get(&field(name)) else { continue };
        // A browser sends line breaks as two characters, whatever was typed.
        let text = text.replace("\r\n", "\n");
        if text.is_empty() && !(required && matches!(kind, Kind::Text | Kind::Texts)) {
            continue;
        }
        let wrong = |what: &str| format!("`{name}` is {what}");
        if matches!(kind, Kind::Integer | Kind::Number | Kind::Json) {
            numbers::exact(&text).map_err(|problem| format!("`{name}`: {}", problem.message))?;
        }
        let value = match kind {
            Kind::Text => Value::String(text),
            Kind::Integer => match text.trim().parse::<i64>() {
                Ok(number) => number.into(),
                Err(_) => return Err(wrong("no whole number")),
            },
            Kind::Number => match text.trim().parse::<Number>() {
                Ok(number) => Value::Number(number),
                Err(_) => return Err(wrong("no number")),
            },
            Kind::Boolean => Value::Bool(text == "true"),
            Kind::Choice(choices) => {
                match text.parse::<usize>().ok().and_then(|number| choices.get(number)) {
                    Some(choice) => choice.clone(),
                    None => return Err(wrong("none of its choices")),
                }
            }
            Kind::Texts => text.lines().map(str::trim).filter(|line| !line.is_empty()).collect(),
            Kind::Json => match serde_json::from_str(&text) {
                Ok(value) => value,
                Err(error) => return Err(wrong(&format!("no JSON: {error}"))),
            },
        };
        read.insert(name.to_owned(), value);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({ "type": "object", "required": ["to", "body", "count"], "properties": {
            "to": { "type": "array", "items": { "type": "string" } },
            "body": { "type": "string", "maxLength": 5000 },
            "count": { "type": "integer", "minimum": 1, "maximum": 9, "description": "How <often>" },
            "share": { "type": "number" },
            "loud": { "type": "boolean" },
            "tone": { "enum": ["warm", 2, "cold"] },
            "more": { "type": "object" },
        } })
    }

    fn typed(pairs: &[(&str, &str)]) -> Typed {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn what_is_typed_into_each_kind_of_field_is_read_as_its_type() {
        let typed = typed(&[
            ("p.to", "a@example.com\r\n\r\n b@example.com\r\n"),
            ("p.body", "one\r\ntwo"),
            ("p.count", "3"),
            ("p.share", "0.5"),
            ("p.loud", "false"),
            ("p.tone", "1"),
            ("p.more", "{\"deep\": [1]}"),
            ("p.stranger", "x"),
        ]);
        let expected = json!({
            "to": ["a@example.com", "b@example.com"], "body": "one\ntwo", "count": 3, "share": 0.5, "loud": false,
            "tone": 2, "more": { "deep": [1] },
        });
        assert_eq!(Value::Object(read(Some(&schema()), &typed).unwrap()), expected);
    }

    #[test]
    fn what_is_left_empty_is_not_given_but_a_required_text_is_empty() {
        let names = ["to", "body", "count", "share", "loud", "tone", "more"];
        let typed = names.iter().map(|name| (field(name), String::new())).collect();
        assert_eq!(Value::Object(read(Some(&schema()), &typed).unwrap()), json!({ "to": [], "body": "" }));
    }

    #[test]
    fn what_cannot_be_read_names_its_field() {
        for (name, value) in
            [("count", "many"), ("share", "half"), ("tone", "9"), ("tone", "warm"), ("more", "{")]
        {
            let wrong = read(Some(&schema()), &typed(&[(&field(name), value)])).unwrap_err();
            assert!(wrong.starts_with(&format!("`{name}` is no")), "{wrong}");
        }
        assert!(read(None, &typed(&[(WHOLE, "[1]")])).is_err());
        assert_eq!(read(None, &typed(&[(WHOLE, " ")])), Ok(Map::new()));
    }

    #[test]
    fn every_field_has_a_label_and_its_bounds_in_words() {
        let shown = fields(Some(&schema()), &Typed::new()).into_string();
        for number in 0..7 {
            assert_eq!(shown.matches(&format!("<label for=\"parameter-{number}\"")).count(), 1);
            assert_eq!(shown.matches(&format!(" id=\"parameter-{number}\"")).count(), 1);
        }
        assert!(shown.contains("min=\"1\" max=\"9\""), "{shown}");
        assert!(shown.contains("How &lt;often&gt;"), "{shown}");
        assert!(shown.contains("At least 1. At most 9."), "{shown}");
    }

    #[test]
    fn an_action_without_a_schema_takes_an_object_of_json() {
        for schema in [None, Some(json!({ "type": "object" }))] {
            assert!(fields(schema.as_ref(), &Typed::new()).into_string().contains("name=\"parameters\""));
        }
        let none = json!({ "type": "object", "additionalProperties": false });
        assert!(fields(Some(&none), &Typed::new()).into_string().contains("It takes no parameters."));
    }

    #[test]
    fn what_was_typed_stays_in_its_field() {
        let typed = typed(&[("p.body", "\"><b>"), ("p.tone", "2")]);
        let shown = fields(Some(&schema()), &typed).into_string();
        assert!(shown.contains("\n&quot;&gt;&lt;b&gt;</textarea>"), "{shown}");
        assert!(shown.contains("<option value=\"2\" selected>cold</option>"), "{shown}");
    }
}
