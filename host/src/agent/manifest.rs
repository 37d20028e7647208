//! `agent.json`: what an agent says it is and may be granted.

use super::schema::{Misfit, SCHEMA_PATTERNS_MAX, Schema};
use crate::address;
use crate::authority::{Capability, Scopes};
use crate::refusals::{Code, Problem, Result};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

/// The largest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;

/// How many patterns may confine one capability.
pub const PATTERNS_MAX: usize = 256;

/// What an agent says it is and may be granted.
///
/// Unknown fields are errors: `scope` for `scopes` would otherwise lift a restriction without a word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Reverse-domain name, `com.yourcompany.agent.name`.
    #[serde(deserialize_with = "agent_id")]
    pub id: String,
    /// For people.
    #[serde(deserialize_with = "required_text")]
    pub name: String,
    /// Semantic version.
    pub version: semver::Version,
    /// For people: what it does.
    pub description: String,
    /// What it can be granted.
    pub capabilities: Vec<Capability>,
    /// What each capability is confined to.
    #[serde(default, skip_serializing_if = "Scopes::is_empty")]
    pub scopes: Scopes,
    /// The actions it answers. Without a list every action reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intents: Option<Vec<IntentSpec>>,
    /// Shown before installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Value>,
    /// Shown before installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Shown before installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Value>,
    /// Shown before installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Shown before installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Shown before installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,
}

/// What the author says about data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "free text in the author's words")]
pub struct Privacy {
    #[serde(default)]
    pub data_collection: Vec<String>,
    #[serde(default)]
    pub data_retention: Option<String>,
    #[serde(default)]
    pub data_sharing: Option<String>,
}

/// An action an agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentSpec {
    /// Its name, `send_report`.
    #[serde(deserialize_with = "required_text")]
    pub action: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Schema>,
}

impl Manifest {
    /// Reads a manifest. `//` comments are accepted. The text is hostile until it has passed.
    ///
    /// # Errors
    ///
    /// `MANIFEST_INVALID`, naming field and line.
    pub fn parse(text: &str) -> Result<Manifest> {
        if text.len() > MANIFEST_BYTES_MAX {
            let message = format!("the manifest is larger than {MANIFEST_BYTES_MAX} bytes");
            return Err(Problem::new(Code::ManifestInvalid, message).into());
        }
        let text = without_comments(text);
        let invalid = |field: &str, error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            let what = error.to_string();
            let what = what.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&what);
            let field = if field == "." { String::new() } else { format!("field `{field}`: ") };
            Problem::new(Code::ManifestInvalid, format!("the manifest, line {line}: {field}{what}"))
        };
        let mut json = serde_json::Deserializer::from_str(&text);
        let manifest: Manifest = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| invalid(&error.path().to_string(), error.into_inner()))?;
        json.end().map_err(|error| invalid(".", error))?;
        manifest.check(&text)?;
        Ok(manifest)
    }

    /// Rules that concern more than one field.
    fn check(&self, text: &str) -> Result<(), Problem> {
        let invalid = |needle: &str, what: String| {
            let line =
                text.find(&format!("\"{needle}\"")).map_or(1, |at| text[..at].matches('\n').count() + 1);
            Problem::new(Code::ManifestInvalid, format!("the manifest, line {line}: {what}"))
        };
        for (capability, patterns) in &self.scopes {
            if patterns.len() > PATTERNS_MAX {
                let what = format!("field `scopes`: {capability} has more than {PATTERNS_MAX} patterns");
                return Err(invalid("scopes", what));
            }
            // A pattern that covers nobody would confine without a word to less than its author meant.
            if capability.names_addresses()
                && let Some(pattern) =
                    patterns.iter().find(|pattern| !address::is_coverable(pattern.as_str()))
            {
                let pattern = pattern.as_str();
                let what = format!(
                    "field `scopes`: {capability} has `{}`, and no address that mail can be sent to is like that: write an \
                     address, or a pattern such as `*@example.com`",
                    crate::printable::short(pattern, 60)
                );
                // It stands in the text as JSON writes it, in quotes.
                let written = Value::from(pattern).to_string();
                return Err(invalid(&written[1..written.len() - 1], what));
            }
            if !self.capabilities.contains(capability) {
                let what = format!("field `scopes`: {capability} is confined but not among `capabilities`");
                return Err(invalid("scopes", what));
            }
        }
        let intents = self.intents.as_deref().unwrap_or_default();
        let mut patterns = 0;
        for (number, intent) in intents.iter().enumerate() {
            // It stands in the text as JSON writes it, in quotes.
            let written = Value::from(intent.action.as_str()).to_string();
            let wrong = |what: String| {
                let what = format!("field `intents[{number}].parameters`: {what}");
                invalid(&written[1..written.len() - 1], what)
            };
            if let Some(schema) = &intent.parameters {
                patterns += schema.admit().map_err(wrong)?;
            }
            if patterns > SCHEMA_PATTERNS_MAX {
                let what = format!("all schemas have more than {SCHEMA_PATTERNS_MAX} patterns together");
                return Err(wrong(what));
            }
            if intents[..number].iter().any(|earlier| earlier.action == intent.action) {
                let what = format!("field `intents[{number}].action`: `{}` is listed twice", intent.action);
                return Err(invalid("intents", what));
            }
        }
        Ok(())
    }

    /// Refuses what the manifest does not allow, before any guest code runs.
    ///
    /// # Errors
    ///
    /// `UNDECLARED_ACTION`, naming those that are listed; `INVALID_PARAMETER`, naming the parameter.
    pub fn admit(&self, action: &str, parameters: &Map<String, Value>) -> Result<(), Problem> {
        let Some(intents) = &self.intents else { return Ok(()) };
        let Some(intent) = intents.iter().find(|intent| intent.action == action) else {
            let listed: Vec<_> = intents.iter().map(|intent| intent.action.as_str()).collect();
            let message = format!("agent {} does not answer `{action}`", self.id);
            let hint = format!("it answers: {}", listed.join(", "));
            return Err(Problem::new(Code::UndeclaredAction, message).hint(hint));
        };
        let Some(schema) = &intent.parameters else { return Ok(()) };
        let text = schema.json();
        let invalid = |message: String| {
            let hint = format!("its schema: {}", crate::printable::short(&text.to_string(), 500));
            Problem::new(Code::InvalidParameter, message).hint(hint)
        };
        // The validator would quote the value of a parameter that is not known, and not name it.
        let known = |name: &str| text["properties"].get(name).is_some();
        if text["additionalProperties"] == false
            && text.get("patternProperties").is_none()
            && let Some(name) = parameters.keys().find(|name| !known(name))
        {
            let name = crate::printable::short(name, 60);
            return Err(invalid(format!("`{action}` has no parameter `{name}`")));
        }
        match schema.check(parameters.clone()) {
            Ok(()) => Ok(()),
            Err(Misfit::Invalid { path, what }) => {
                let at = match path.strip_prefix('/') {
                    None => "parameters".to_owned(),
                    Some(path) => format!("parameter `{path}`"),
                };
                Err(invalid(format!("{at} of `{action}`: {what}")))
            }
            Err(Misfit::TooMuch) => Err(Problem::new(
                Code::InvalidParameter,
                format!("the parameters of `{action}` are too long for their schema: checking them would take too much"),
            )
            .hint("give less at once; or let the agent's author ask for less in its schema")),
            Err(Misfit::Schema(why)) => Err(Problem::new(
                Code::ManifestInvalid,
                format!("the schema of `{action}`, which an earlier version took, is not taken any more: {why}"),
            )
            .hint("let the agent's author change it, and install the agent again")),
        }
    }

    /// Whether [`admit`](Manifest::admit) takes so little time that nobody who waits meanwhile would notice.
    pub fn is_brief(&self, action: &str, parameters: &Map<String, Value>) -> bool {
        let intent = self.intents.iter().flatten().find(|intent| intent.action == action);
        let schema = intent.and_then(|intent| intent.parameters.as_ref());
        schema.is_none_or(|schema| schema.is_brief(parameters))
    }

    /// The declared JSON type of a parameter, if there is one.
    pub fn parameter_type(&self, action: &str, parameter: &str) -> Option<&str> {
        let intent = self.intents.as_ref()?.iter().find(|intent| intent.action == action)?;
        intent.parameters.as_ref()?.json().get("properties")?.get(parameter)?.get("type")?.as_str()
    }
}

fn required_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(D::Error::custom("may not be empty"));
    }
    Ok(text)
}

fn agent_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    if id.len() > 128 || id.split('.').count() < 2 || !id.split('.').all(is_label) {
        return Err(D::Error::custom(
            "must be a reverse-domain name in lower case such as `com.yourcompany.agent.name`",
        ));
    }
    Ok(id)
}

/// The same text with `//` comments blanked, so that lines and columns stay where they are.
pub fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_text, mut escaped, mut in_comment) = (false, false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => in_comment = false,
            _ if in_comment => {
                out.push(' ');
                continue;
            }
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            '/' if !in_text && chars.peek() == Some(&'/') => {
                in_comment = true;
                out.push(' ');
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MINIMAL: &str =
        r#"{"id":"com.x.a","name":"A","version":"1.0.0","description":"","capabilities":["messages.read"]}"#;

    fn error(text: &str) -> String {
        Manifest::parse(text).unwrap_err().to_string()
    }

    fn with(field: &str) -> String {
        format!("{},\n{field}}}", &MINIMAL[..MINIMAL.len() - 1])
    }

    #[test]
    fn a_minimal_manifest_is_enough() {
        let manifest = Manifest::parse(MINIMAL).unwrap();
        assert_eq!(manifest.capabilities, [Capability::MessagesRead]);
        assert!(manifest.admit("anything", &Map::new()).is_ok());
    }

    #[test]
    fn comments_are_removed_and_urls_are_not() {
        let text = with("\"homepage\": \"https://x.com\" // not \"this\"\n");
        assert_eq!(Manifest::parse(&text).unwrap().homepage.as_deref(), Some("https://x.com"));
    }

    #[test]
    fn errors_name_field_and_line() {
        assert_eq!(
            error(&with("\"scopes\": {\"messages.send\": []}")),
            "the manifest, line 2: field `scopes`: messages.send is confined but not among `capabilities`"
        );
        let sends = |patterns: &str| {
            let sends = MINIMAL.replace("messages.read", "messages.send");
            sends.replacen('{', &format!("{{\n\"scopes\": {{\"messages.send\": [\n{patterns}]}},"), 1)
        };
        for route in ["*%*@company.com", "evil.example!*", "company.com", "-*@company.com", "*@192.0.2.1"] {
            let what = format!(
                "the manifest, line 4: field `scopes`: messages.send has `{route}`, and no address that mail can be sent to is like \
                 that: write an address, or a pattern such as `*@example.com`"
            );
            assert_eq!(error(&sends(&format!("\"*@company.com\",\n\"{route}\""))), what);
        }
        assert!(Manifest::parse(&sends("\"*@company.com\"")).is_ok());
        let unknown = error(&with("\"scope\": {}"));
        assert!(
            unknown.starts_with("the manifest, line 2: field `scope`: unknown field `scope`"),
            "{unknown}"
        );
        let bad = error(&MINIMAL.replace("messages.read", "mail"));
        assert!(
            bad.starts_with("the manifest, line 1: field `capabilities[0]`: unknown variant `mail`"),
            "{bad}"
        );
        assert!(error(&MINIMAL.replace("1.0.0", "one")).contains("field `version`"));
        assert!(error(&MINIMAL.replace("com.x.a", "Agent")).contains("field `id`"));
        assert!(error(&format!("{MINIMAL} x")).contains("line 1"));
        assert!(error("{").contains("line 1"));
        let patterns = vec!["\"*@x.com\""; PATTERNS_MAX + 1].join(",");
        let many = error(&with(&format!("\"scopes\": {{\"messages.read\": [{patterns}]}}")));
        assert!(many.contains("field `scopes`: messages.read has more than 256 patterns"), "{many}");
        assert!(error(&" ".repeat(MANIFEST_BYTES_MAX + 1)).contains("larger"));
    }

    #[test]
    fn an_unlisted_action_and_bad_parameters_are_refused() {
        let intents = r#""intents":[{"action":"go","description":"","parameters":
            {"type":"object","properties":{"n":{"type":"integer","maximum":3}},"required":["n"]}}]"#;
        let manifest = Manifest::parse(&with(intents)).unwrap();
        let parameters = |value: Value| value.as_object().unwrap().clone();
        assert!(manifest.admit("go", &parameters(json!({"n": 1}))).is_ok());
        let problem = manifest.admit("stop", &Map::new()).unwrap_err();
        assert_eq!((problem.code, problem.hint.as_deref()), (Code::UndeclaredAction, Some("it answers: go")));
        let problem = manifest.admit("go", &parameters(json!({"n": 9}))).unwrap_err();
        assert_eq!(problem.code, Code::InvalidParameter);
        assert!(problem.message.contains("parameter `n`"), "{}", problem.message);
        assert_eq!(manifest.admit("go", &Map::new()).unwrap_err().code, Code::InvalidParameter);
        assert_eq!(manifest.parameter_type("go", "n"), Some("integer"));
    }

    #[test]
    fn a_schema_must_compile_and_may_not_reach_outside() {
        for schema in [
            r#"{"type":"object","properties":{"a":{"type":"nonsense"}}}"#,
            r#"{"type":"string"}"#,
            r#"{"type":"object","$ref":"https://example.com/schema.json"}"#,
            r##"{"type":"object","$defs":{"a":{}},"properties":{"b":{"$ref":"#/$defs/a"}}}"##,
        ] {
            let text = with(&format!("\"intents\":[{{\"action\":\"go\",\"parameters\":{schema}}}]"));
            assert!(error(&text).contains("intents[0].parameters"), "{schema}: {}", error(&text));
        }
    }
}
