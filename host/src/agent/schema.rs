//! The schema of an action's parameters: that part of JSON Schema of which is known what it costs.
//!
//! A schema is a stranger's program, which the host runs outside of every limit of the sandbox. So it has no references, no conditions and
//! nothing that looks at what other keywords have found: each of its subschemas is held against each value at most once, and how much
//! that is can be counted before any of it is done.

use jsonschema::{PatternOptions, Validator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};

/// How many patterns the schemas of one manifest have in all.
pub const SCHEMA_PATTERNS_MAX: usize = 32;
/// How large one pattern is when it is compiled, in bytes: some thousand states.
pub const PATTERN_BYTES_MAX: usize = 64 * 1024;
/// How many steps holding parameters against their schema takes at most: some 100 ms.
pub const SCHEMA_STEPS_MAX: u64 = 2_000_000;
/// How many steps are taken where others wait meanwhile: less than 1 ms.
pub const SCHEMA_STEPS_BRIEF: u64 = 10_000;
/// How many steps a pattern takes for each byte of a text.
const PATTERN_STEPS: u64 = 100;
/// How large a schema is compiled where others wait meanwhile, in bytes of JSON text.
const BRIEF_BYTES: usize = 4 * 1024;

/// Keywords that say something to people and programs, and nothing of what is valid.
const ANNOTATIONS: [&str; 13] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "contentEncoding",
    "contentMediaType",
    "$schema",
    "$comment",
    "$id",
];
/// Keywords that say what is valid without a subschema.
const ASSERTIONS: [&str; 20] = [
    "type",
    "enum",
    "const",
    "multipleOf",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
    "required",
    "dependentRequired",
];
/// Keywords with one subschema, with several, and with one for each name.
const ONE: [&str; 5] = ["additionalProperties", "additionalItems", "propertyNames", "contains", "not"];
const SEVERAL: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
const NAMED: [&str; 2] = ["properties", "patternProperties"];

/// A schema of parameters, as its author wrote it. It is compiled when it is first needed; clones share what comes of that.
#[derive(Clone, Debug)]
pub struct Schema {
    text: Value,
    compiled: Arc<OnceLock<Result<Validator, String>>>,
}

/// Why parameters are refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The value at this path, JSON Pointer, is not what the schema asks for.
    Invalid {
        /// Where; empty for the parameters as a whole.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// To find out would take more than [`SCHEMA_STEPS_MAX`].
    TooMuch,
    /// The schema is none that is taken. One that was installed by an earlier version may be.
    Schema(String),
}

impl Schema {
    /// The schema as it is written.
    pub fn json(&self) -> &Value {
        &self.text
    }

    /// Whether it is one that is taken. Gives how many patterns it has.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to do.
    pub fn admit(&self) -> Result<usize, String> {
        if self.text.get("type").and_then(Value::as_str) != Some("object") {
            return Err("the schema of parameters must have `\"type\": \"object\"`".into());
        }
        let patterns = patterns(&self.text)?;
        if patterns > SCHEMA_PATTERNS_MAX {
            return Err(format!("it has {patterns} patterns; {SCHEMA_PATTERNS_MAX} is the limit"));
        }
        self.validator()?;
        Ok(patterns)
    }

    /// Whether holding these parameters against it is so brief that nobody who waits meanwhile would notice.
    pub fn is_brief(&self, parameters: &Map<String, Value>) -> bool {
        let is_ready =
            self.compiled.get().is_some() || size(&self.text, BRIEF_BYTES as u64) <= BRIEF_BYTES as u64;
        is_ready && steps(&self.text, parameters, SCHEMA_STEPS_BRIEF)
    }

    /// Holds parameters against it.
    ///
    /// # Errors
    ///
    /// The first [`Misfit`].
    pub fn check(&self, parameters: Map<String, Value>) -> Result<(), Misfit> {
        if !steps(&self.text, &parameters, SCHEMA_STEPS_MAX) {
            return Err(Misfit::TooMuch);
        }
        let validator = self.validator().map_err(Misfit::Schema)?;
        let parameters = Value::Object(parameters);
        validator.validate(&parameters).map_err(|error| Misfit::Invalid {
            path: error.instance_path().to_string(),
            what: error.to_string(),
        })
    }

    fn validator(&self) -> Result<&Validator, String> {
        let compile = || {
            patterns(&self.text)?;
            // No file or network is read for `$schema`, and patterns match in linear time.
            let regex =
                PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(4 * PATTERN_BYTES_MAX);
            let built = jsonschema::options().with_pattern_options(regex).build(&self.text);
            built.map_err(|error| format!("not a JSON Schema: {error}"))
        };
        self.compiled.get_or_init(compile).as_ref().map_err(Clone::clone)
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Schema) -> bool {
        self.text == other.text
    }
}

impl From<Value> for Schema {
    fn from(text: Value) -> Schema {
        Schema { text, compiled: Arc::default() }
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

/// Whatever is written is read: what is in the store was taken by the version that put it there.
impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Schema, D::Error> {
        Value::deserialize(deserializer).map(Schema::from)
    }
}

/// Counts the patterns of a schema that has no other keywords than those that are taken. JSON was read with a bound on its depth, which
/// bounds this too.
fn patterns(schema: &Value) -> Result<usize, String> {
    let Value::Object(fields) = schema else { return Ok(0) };
    let mut found = 0;
    for (key, value) in fields {
        let inner: Vec<&Value> = match (key.as_str(), value) {
            ("items", Value::Array(several)) => several.iter().collect(),
            ("items", one) => vec![one],
            (key, one) if ONE.contains(&key) => vec![one],
            (key, Value::Array(several)) if SEVERAL.contains(&key) => several.iter().collect(),
            (key, Value::Object(named)) if NAMED.contains(&key) => named.values().collect(),
            (key, _) if SEVERAL.contains(&key) || NAMED.contains(&key) => {
                return Err(format!("not a JSON Schema: `{key}` holds no subschemas"));
            }
            (key, _) if ANNOTATIONS.contains(&key) || ASSERTIONS.contains(&key) || key.starts_with("x-") => {
                Vec::new()
            }
            ("$ref" | "$dynamicRef" | "$recursiveRef", _) => {
                return Err(format!("it may not use `{key}`: write what that refers to in its place"));
            }
            (key, _) => {
                let key = crate::printable::short(key, 40);
                return Err(format!(
                    "it may not use `{key}`: `countersign explain MANIFEST_INVALID` lists the keywords that are taken"
                ));
            }
        };
        found += match key.as_str() {
            "pattern" => 1,
            "patternProperties" => inner.len(),
            _ => 0,
        };
        for inner in inner {
            found += patterns(inner)?;
        }
    }
    Ok(found)
}

/// Whether holding parameters against a schema takes no more than so many steps.
fn steps(schema: &Value, parameters: &Map<String, Value>, most: u64) -> bool {
    let mut work = Work { left: most };
    work.object(schema, parameters) && work.of(schema, None)
}

/// How many values and bytes of text JSON has, counted as far as `most`.
fn size(value: &Value, most: u64) -> u64 {
    let mut work = Work { left: most };
    if work.size(value) { most - work.left } else { most + 1 }
}

/// Steps that may still be taken. Each function says whether there were enough.
struct Work {
    left: u64,
}

impl Work {
    fn take(&mut self, steps: u64) -> bool {
        self.left = self.left.saturating_sub(steps);
        self.left > 0
    }

    /// One for each value, and for each byte of a text or a name.
    fn size(&mut self, value: &Value) -> bool {
        self.take(1)
            && match value {
                Value::String(text) => self.take(text.len() as u64),
                Value::Array(items) => items.iter().all(|item| self.size(item)),
                Value::Object(fields) => {
                    fields.iter().all(|(name, value)| self.take(name.len() as u64) && self.size(value))
                }
                _ => true,
            }
    }

    /// What a validator does twice to say what is wrong: subschemas of which one is enough, or none may be.
    fn twice(&mut self, work: impl FnOnce(&mut Work) -> bool) -> bool {
        let before = self.left;
        work(self) && self.take(before - self.left)
    }

    /// Everything a subschema asks of a value, of the value itself. `None` stands for one whose fields have been looked at.
    fn of(&mut self, schema: &Value, value: Option<&Value>) -> bool {
        let Value::Object(keywords) = schema else { return self.take(1) };
        let text = value.and_then(Value::as_str);
        let items = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        self.take(1 + keywords.len() as u64)
            && keywords.iter().all(|(key, inner)| match (key.as_str(), inner) {
                ("enum" | "const" | "required" | "dependentRequired", listed) => self.size(listed),
                ("minLength" | "maxLength", _) => self.take(text.map_or(0, str::len) as u64),
                ("pattern", _) => self.take(PATTERN_STEPS * text.map_or(0, str::len) as u64),
                ("uniqueItems", _) => items.iter().all(|item| self.take(4) && self.size(item)),
                ("items", Value::Array(several)) | ("prefixItems", Value::Array(several)) => {
                    several.iter().zip(items).all(|(inner, item)| self.value(inner, item))
                }
                ("items" | "additionalItems" | "contains", inner) => {
                    items.iter().all(|item| self.value(inner, item))
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(several)) => match value {
                    Some(value) => self.twice(|work| several.iter().all(|inner| work.value(inner, value))),
                    None => true,
                },
                ("not", inner) => match value {
                    Some(value) => self.twice(|work| work.value(inner, value)),
                    None => true,
                },
                _ => true,
            })
    }

    fn value(&mut self, schema: &Value, value: &Value) -> bool {
        match value {
            Value::Object(fields) => self.object(schema, fields) && self.of(schema, None),
            value => self.of(schema, Some(value)),
        }
    }

    /// What a subschema asks of the fields of an object, and of the object by way of others.
    fn object(&mut self, schema: &Value, fields: &Map<String, Value>) -> bool {
        let Value::Object(keywords) = schema else { return self.take(1) };
        let names = |work: &mut Work| fields.keys().all(|name| work.take(1 + name.len() as u64));
        keywords.iter().all(|(key, inner)| match (key.as_str(), inner) {
            ("properties", Value::Object(named)) => {
                names(self)
                    && self.take(named.len() as u64)
                    && named.iter().all(|(name, inner)| match fields.get(name) {
                        Some(value) => self.value(inner, value),
                        None => true,
                    })
            }
            ("patternProperties", Value::Object(named)) => named.values().all(|inner| {
                fields.iter().all(|(name, value)| {
                    self.take(PATTERN_STEPS * (1 + name.len() as u64)) && self.value(inner, value)
                })
            }),
            ("additionalProperties", inner) => {
                names(self) && fields.values().all(|value| self.value(inner, value))
            }
            ("propertyNames", inner) => {
                fields.keys().all(|name| self.take(1) && self.of(inner, Some(&Value::String(name.clone()))))
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(several)) => self
                .twice(|work| several.iter().all(|inner| work.object(inner, fields) && work.of(inner, None))),
            ("not", inner) => self.twice(|work| work.object(inner, fields) && work.of(inner, None)),
            // Whether it is one of those that are listed.
            ("enum" | "const", listed) => self.size(listed),
            _ => true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: &Value, parameters: Value) -> Result<(), Misfit> {
        let Value::Object(parameters) = parameters else { panic!() };
        Schema::from(schema.clone()).check(parameters)
    }

    #[test]
    fn what_is_no_program_is_taken_and_says_where_something_is_wrong() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Send", "type": "object",
            "required": ["to"], "additionalProperties": false, "x-order": ["to", "kind"],
            "properties": {
                "to": { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "string", "pattern": "^[^@ ]+@[^@ ]+$" } },
                "kind": { "anyOf": [{ "enum": ["daily", "weekly"] }, { "type": "null" }], "default": null },
                "limit": { "type": "integer", "minimum": 1, "maximum": 100 },
                "day": { "type": "string", "format": "date", "pattern": "^\\d{4}-\\d{2}-\\d{2}$", "maxLength": 10 },
                "pair": { "type": "array", "prefixItems": [{ "type": "string" }, { "type": "number" }] },
            },
        });
        assert_eq!(Schema::from(schema.clone()).admit(), Ok(2));
        check(
            &schema,
            json!({ "to": ["a@b.c"], "kind": null, "limit": 7, "day": "2026-12-01", "pair": ["a", 1] }),
        )
        .unwrap();
        for (wrong, at) in [
            (json!({ "to": [] }), "/to"),
            (json!({ "to": ["a@b.c", "a@b.c"] }), "/to"),
            (json!({ "to": ["a@b.c", "nobody"] }), "/to/1"),
            (json!({ "to": ["a@b.c"], "kind": "hourly" }), "/kind"),
            (json!({ "to": ["a@b.c"], "limit": 0 }), "/limit"),
            (json!({ "to": ["a@b.c"], "other": 1 }), ""),
            (json!({}), ""),
        ] {
            let Err(Misfit::Invalid { path, .. }) = check(&schema, wrong.clone()) else { panic!("{wrong}") };
            assert_eq!(path, at, "{wrong}");
        }
    }

    #[test]
    fn what_is_a_program_is_not_taken_wherever_it_stands() {
        for (keyword, value) in [
            ("$ref", json!("#/properties/a")),
            ("$dynamicRef", json!("#a")),
            ("$defs", json!({})),
            ("if", json!({})),
            ("unevaluatedProperties", json!(false)),
            ("unevaluatedItems", json!(false)),
            ("dependentSchemas", json!({})),
            ("propertyDependencies", json!({})),
            ("minimun", json!(1)),
        ] {
            let program = json!({ keyword: value });
            let around = [
                program.clone(),
                json!({ "properties": { "a": program.clone() } }),
                json!({ "properties": { "a": { "items": program.clone() } } }),
                json!({ "properties": { "a": { "items": [program.clone()] } } }),
                json!({ "patternProperties": { "a": program.clone() } }),
                json!({ "additionalProperties": program.clone() }),
                json!({ "propertyNames": program.clone() }),
                json!({ "allOf": [{ "anyOf": [{ "oneOf": [{ "not": program.clone() }] }] }] }),
                json!({ "properties": { "a": { "prefixItems": [{ "contains": program }] } } }),
            ];
            for mut schema in around {
                schema["type"] = json!("object");
                let why = Schema::from(schema.clone()).admit().unwrap_err();
                assert!(why.contains(&format!("`{keyword}`")), "{schema}: {why}");
            }
        }
        // As values of a parameter, and as its name, they are nobody's business.
        let named = json!({ "type": "object", "properties": { "if": { "enum": [{ "$ref": "x" }], "default": { "if": 1 } } } });
        assert_eq!(Schema::from(named).admit(), Ok(0));
    }

    #[test]
    fn the_page_of_the_refusal_names_every_keyword_that_is_taken() {
        let page = crate::refusals::Code::ManifestInvalid.page();
        for keyword in [&ANNOTATIONS[..], &ASSERTIONS, &ONE, &SEVERAL, &NAMED, &["items"]].concat() {
            assert!(page.contains(&format!("`{keyword}`")), "{keyword}");
        }
    }

    #[test]
    fn patterns_are_few_and_small() {
        let with = |patterns: Vec<String>| {
            let named: Map<_, _> = patterns
                .into_iter()
                .enumerate()
                .map(|(number, pattern)| (format!("p{number}"), json!({ "pattern": pattern })))
                .collect();
            Schema::from(json!({ "type": "object", "properties": named })).admit()
        };
        assert_eq!(
            with(vec!["^[a-z0-9][a-z0-9._-]{0,62}$".into(); SCHEMA_PATTERNS_MAX]),
            Ok(SCHEMA_PATTERNS_MAX)
        );
        assert!(with(vec!["a".into(); SCHEMA_PATTERNS_MAX + 1]).unwrap_err().contains("33 patterns"));
        assert!(with(vec!["(?:a{1000}){100}".into()]).is_err());
        assert!(with(vec!["(".into()]).is_err());
    }

    #[test]
    fn what_it_costs_is_known_before_it_is_done() {
        // Each level doubles what a validator does.
        let nested = |levels: usize| {
            (0..levels)
                .fold(json!({ "type": "string" }), |inner, _| json!({ "anyOf": [inner, { "type": "null" }] }))
        };
        let schema = |inner: Value| json!({ "type": "object", "properties": { "a": inner } });
        assert!(check(&schema(nested(8)), json!({ "a": "x" })).is_ok());
        assert_eq!(check(&schema(nested(60)), json!({ "a": "x" })), Err(Misfit::TooMuch));
        // Many alternatives for many items.
        let many = json!({ "items": { "anyOf": vec![json!({ "const": "x" }); 2_000] } });
        assert!(check(&schema(many.clone()), json!({ "a": vec!["x"; 10] })).is_ok());
        assert_eq!(check(&schema(many), json!({ "a": vec!["y"; 20_000] })), Err(Misfit::TooMuch));
        // A pattern over a long text.
        let pattern = json!({ "pattern": "^(a|b)*$" });
        assert!(check(&schema(pattern.clone()), json!({ "a": "a".repeat(10_000) })).is_ok());
        assert_eq!(check(&schema(pattern), json!({ "a": "a".repeat(60_000) })), Err(Misfit::TooMuch));
        // Patterns over many names.
        let names: Map<_, _> = (0..5_000).map(|number| (format!("name{number}"), json!(1))).collect();
        let named: Map<_, _> = (0..30).map(|number| (format!("^n.*{number}$"), json!({}))).collect();
        let named = json!({ "type": "object", "patternProperties": named });
        assert_eq!(check(&named, Value::Object(names)), Err(Misfit::TooMuch));
        // What people really give.
        let text = json!({ "type": "object", "properties": { "text": { "type": "string", "maxLength": 65_536 }, "n": { "type": "integer" } } });
        assert!(check(&text, json!({ "text": "x".repeat(60_000), "n": 1 })).is_ok());
        let brief = Schema::from(text);
        brief.admit().unwrap();
        let Value::Object(few) = json!({ "text": "hello", "n": 1 }) else { panic!() };
        let Value::Object(long) = json!({ "text": "x".repeat(60_000) }) else { panic!() };
        assert!(brief.is_brief(&few) && !brief.is_brief(&long));
    }
}
