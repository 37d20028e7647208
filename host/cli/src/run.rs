//! `countersign run`: give an intent to an agent.

use super::Session;
use super::output::Exit;
use clap::Args;
use countersign::host::Order;
use countersign::intent::numbers;
use countersign::refusals::{Code, Problem, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use std::time::Duration;

#[derive(Args)]
pub struct Run {
    /// Id of the agent
    agent: String,
    /// What is asked of it
    action: String,
    /// A parameter, of the type the agent's manifest gives it
    #[arg(long = "param", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
    /// All parameters as a JSON object
    #[arg(long, value_name = "JSON")]
    params: Option<String>,
    /// What the user typed
    #[arg(long)]
    text: Option<String>,
}

impl Run {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        let door = session.door().await?;
        let Run { agent, action, parameters, params, text } = self;
        let manifest = door.agent(&agent).await?.manifest;
        let parameters = typed_as_declared(&manifest, &action, params.as_deref(), &parameters)?;
        let spinner = spinner("running");
        let ran = door.submit(Order { agent, action, parameters, text, retry_of: None }).await?;
        spinner.finish_and_clear();
        super::intent::finish(session, &door, &ran, super::intent::Tell::Wrong).await
    }
}

/// Something to look at for whatever takes more than a second. Draws on a terminal only.
pub fn spinner(what: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    spinner.set_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("a constant"));
    spinner.set_message(what);
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner
}

fn typed_as_declared(
    manifest: &Value,
    action: &str,
    all: Option<&str>,
    single: &[String],
) -> Result<Map<String, Value>> {
    let usage = |message: String| {
        Problem::new(Code::Usage, message)
            .hint("`countersign agent show ID` lists the actions of an agent, --json their parameters")
    };
    let mut parameters: Map<String, Value> = match all {
        None => Map::new(),
        Some(json) => {
            numbers::exact(json)?;
            serde_json::from_str(json)
                .map_err(|error| usage(format!("--params must be a JSON object: {error}")))?
        }
    };
    for pair in single {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(usage(format!("--param {pair}: KEY=VALUE is expected")).into());
        };
        let kind = declared_type(manifest, action, key);
        if kind.is_some_and(|kind| kind != "string") {
            numbers::exact(value)?;
        }
        let value = typed(kind, value).ok_or_else(|| {
            usage(format!("--param {key}: `{value}` is not of the type {}", kind.unwrap_or("string")))
        })?;
        if parameters.insert(key.to_owned(), value).is_some() {
            return Err(usage(format!("parameter `{key}` is given twice")).into());
        }
    }
    Ok(parameters)
}

/// The type a manifest gives a parameter, if it does.
fn declared_type<'m>(manifest: &'m Value, action: &str, parameter: &str) -> Option<&'m str> {
    let intent = manifest["intents"].as_array()?.iter().find(|intent| intent["action"] == action)?;
    intent["parameters"]["properties"][parameter]["type"].as_str()
}

/// Reads a value as the type the schema gives it; without one it is text.
fn typed(kind: Option<&str>, value: &str) -> Option<Value> {
    match kind {
        Some("integer") => Some(value.parse::<i64>().ok()?.into()),
        Some("number") => serde_json::Number::from_f64(value.parse().ok()?).map(Value::Number),
        Some("boolean") => Some(value.parse::<bool>().ok()?.into()),
        Some("array") if !value.starts_with('[') => {
            Some(value.split(',').filter(|item| !item.is_empty()).map(Value::from).collect())
        }
        Some("array") => serde_json::from_str(value).ok().filter(Value::is_array),
        Some("object") => serde_json::from_str(value).ok().filter(Value::is_object),
        Some("null") => (value == "null").then_some(Value::Null),
        _ => Some(value.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_are_typed_by_the_schema() {
        assert_eq!(typed(Some("integer"), "3"), Some(json!(3)));
        assert_eq!(typed(Some("integer"), "3.5"), None);
        assert_eq!(typed(Some("number"), "3.5"), Some(json!(3.5)));
        assert_eq!(typed(Some("boolean"), "true"), Some(json!(true)));
        assert_eq!(typed(Some("array"), "a,b"), Some(json!(["a", "b"])));
        assert_eq!(typed(Some("array"), "[1]"), Some(json!([1])));
        assert_eq!(typed(Some("object"), "{\"a\":1}"), Some(json!({"a": 1})));
        assert_eq!(typed(None, "3"), Some(json!("3")));
    }
}
