//! What can be asked for, as a document: OpenAPI for programs, a page for people; and whether the server is well.

use super::App;
use super::asked::{At, Named};
use super::problems::{Refused, status_of, title};
use super::table::{ALWAYS, Content, Needs, Route, routes};
use crate::view::ProblemDocument;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use countersign::meters::CONTENT_TYPE;
use countersign::people::{Deed, Role, TENANT};
use countersign::printable::short;
use countersign::refusals::{Code, Problem};
use maud::{DOCTYPE, Markup, html};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use schemars::transform::ReplaceBoolSchemas;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// What a page of ours may load: its own style, and nothing else from anywhere.
pub const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'none'; base-uri 'none'; \
                                  frame-ancestors 'none'";

pub async fn healthy() -> &'static str {
    "ok\n"
}

pub async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Refused> {
    if *app.closing.borrow() {
        return Err(Problem::new(Code::ShuttingDown, "the server is going down").into());
    }
    // One read of the database, and one commit: without either, nothing can be answered or decided.
    app.host.audit_head(TENANT)?;
    if app.host.ready().await.is_err() {
        let problem = Problem::new(Code::Busy, "nothing can be written to the data folder");
        return Err(problem.hint("its operator finds why in the log; `countersign doctor` says more").into());
    }
    Ok("ready\n")
}

/// The counters are of the whole host, which is the first tenant's.
pub async fn metrics(State(app): State<Arc<App>>, At(desk): At) -> Result<impl IntoResponse, Refused> {
    desk.ask(Deed::Measure)?;
    let person = desk.person();
    if person.tenant != TENANT {
        let message = format!("{} may not do this: the counters are those of all tenants", person.name);
        return Err(Problem::new(Code::Forbidden, message)
            .hint("ask an operator of the first tenant")
            .into());
    }
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], app.host.metrics()?))
}

/// The document, as it is committed.
pub fn document() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| serde_json::to_string_pretty(&build(&routes())).expect("a value serializes") + "\n")
}

pub async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document())
}

fn build(routes: &[Route]) -> Value {
    // What may be anything is `{}`, and not `true`: programs that write clients know the one and not the other.
    let mut no_bools = ReplaceBoolSchemas::default();
    no_bools.skip_additional_properties = true;
    let mut schemas = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .with_transform(no_bools)
        .into_generator();
    let problem = schemas.subschema_for::<ProblemDocument>();
    let mut paths = Map::new();
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] =
            operation(route, &mut schemas, &problem.clone().to_value());
    }
    let mut components = schemas.take_definitions(true);
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
    components["Problem"]["properties"]["code"]["enum"] = json!(codes);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Countersign",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Runs untrusted agents; nothing leaves until a person has signed exactly the bytes that will leave. \
                            Every refusal is a problem document with a code, whose page is at /docs/refusals/CODE. Every answer \
                            has a header X-Request-Id, which names it in the log of the server.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    });
    enumerate(&mut document);
    document
}

/// Writes a choice between texts as an `enum`, which programs that write clients understand, where the schemas of our types have one
/// `const` for each. What each means goes into the description of them all.
fn enumerate(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(enumerate),
        Value::Object(fields) => {
            let choices = fields.get("oneOf").and_then(Value::as_array);
            let texts: Option<Vec<String>> = choices.and_then(|choices| {
                choices.iter().map(|choice| choice["const"].as_str().map(str::to_owned)).collect()
            });
            if let (Some(texts), Some(choices)) = (texts, choices) {
                let meant = choices.iter().filter_map(|choice| {
                    Some(format!("`{}`: {}", choice["const"].as_str()?, choice["description"].as_str()?))
                });
                let own = fields.get("description").and_then(Value::as_str).map(str::to_owned);
                let about: Vec<_> = own.into_iter().chain(meant).collect();
                fields.shift_remove("oneOf");
                fields.insert("type".into(), json!("string"));
                fields.insert("enum".into(), json!(texts));
                if !about.is_empty() {
                    fields.insert("description".into(), json!(about.join(" ")));
                }
            }
            fields.values_mut().for_each(enumerate);
        }
        _ => {}
    }
}

fn operation(route: &Route, schemas: &mut SchemaGenerator, problem: &Value) -> Value {
    let mut operation = json!({ "summary": route.about, "operationId": name(route), "tags": [tag(route)] });
    let about = roles(route.needs);
    if let Some(about) = about {
        operation["description"] = json!(about);
        operation["security"] = json!([{ "token": [] }]);
    }
    let mut parameters = Vec::new();
    for name in placeholders(route.path) {
        parameters
            .push(json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    }
    if let Some(write) = route.query {
        let schema = written(write).to_value();
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let mut schema = in_query(schema.clone());
            let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            parameters.push(json!({
                "name": name, "in": "query", "required": required.contains(&&json!(name)),
                "description": about, "schema": schema,
            }));
        }
    }
    if route.is_keyed {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same request under the same key is done once in 24 hours.",
            "schema": { "type": "string", "maxLength": countersign::host::IDEMPOTENCY_KEY_BYTES_MAX },
        }));
    }
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some((content, most)) = route.body {
        operation["requestBody"] = json!({
            "required": true, "description": format!("At most {most} bytes."), "content": contents(content, schemas),
        });
    }
    let mut responses = Map::new();
    for (status, content) in &route.answers {
        let about = match status {
            200 => "Done",
            201 => "Made",
            _ => "Nothing more",
        };
        let mut answer = json!({ "description": about });
        if !matches!(content, Content::Empty) {
            answer["content"] = contents(*content, schemas);
        }
        if *status == 201 && route.method == axum::http::Method::POST && has_place(route) {
            answer["headers"] = json!({ "Location": { "schema": { "type": "string" } } });
        }
        responses.insert(status.to_string(), answer);
    }
    for (status, codes) in refusals(route) {
        let about: Vec<_> = codes.iter().map(|code| format!("{code}: {}.", title(*code))).collect();
        let content = json!({ "application/problem+json": { "schema": problem } });
        responses.insert(status.to_string(), json!({ "description": about.join(" "), "content": content }));
    }
    operation["responses"] = Value::Object(responses);
    operation
}

/// The schema of a query, with everything it names in it.
fn written(write: super::table::Write) -> schemars::Schema {
    let inline = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    write(&mut inline.into_generator())
}

/// The schema of a value in a query: what is left out there has no other way to be null, and a default that is none is no default.
fn in_query(mut schema: Value) -> Value {
    let is_null =
        |value: &Value| value.is_null() || *value == json!("null") || *value == json!({ "type": "null" });
    if !matches!(schema["default"], Value::Bool(_) | Value::Number(_) | Value::String(_)) {
        schema.as_object_mut().map(|schema| schema.remove("default"));
    }
    for list in ["type", "enum", "anyOf"] {
        if let Some(values) = schema[list].as_array_mut() {
            values.retain(|value| !is_null(value));
        }
    }
    if let Some([one]) = schema["type"].as_array().map(Vec::as_slice) {
        schema["type"] = one.clone();
    }
    // Indexing for reading puts nothing there; what was not there is not to be null.
    if let Some(fields) = schema.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    match schema["anyOf"].as_array().map(Vec::as_slice) {
        Some([one]) => one.clone(),
        _ => schema,
    }
}

/// What a route is about, for programs that write clients: the first word of its path.
fn tag(route: &Route) -> &'static str {
    let mut words = route.path.split('/').filter(|word| !word.is_empty());
    match words.next() {
        Some("v1") => words.next().unwrap_or_default(),
        _ => "server",
    }
}

/// Whether what was made has a place of its own.
fn has_place(route: &Route) -> bool {
    matches!(route.path, "/v1/agents" | "/v1/intents" | "/v1/intents/{id}/retry")
}

/// What a route can be refused with, by status.
pub fn refusals(route: &Route) -> BTreeMap<u16, BTreeSet<Code>> {
    let mut codes: BTreeSet<_> = route.refusals.iter().copied().collect();
    if route.is_guarded() {
        codes.extend(ALWAYS);
    }
    if matches!(route.needs, Needs::Role(_) | Needs::Either(..)) {
        codes.insert(Code::Forbidden);
    }
    let mut by_status = BTreeMap::<_, BTreeSet<_>>::new();
    for code in codes {
        by_status.entry(status_of(code).as_u16()).or_default().insert(code);
    }
    // What HTTP itself has a status for: a body of another type, and a request for another name.
    if route.body.is_some() {
        by_status.entry(415).or_default().insert(Code::InvalidParameter);
    }
    if route.is_guarded() {
        by_status.entry(421).or_default().insert(Code::ForgedRequest);
    }
    by_status
}

fn contents(content: Content, schemas: &mut SchemaGenerator) -> Value {
    match content {
        Content::Empty => json!({}),
        Content::Json(write) => json!({ "application/json": { "schema": write(schemas) } }),
        // Bytes; and JSON and text as text, which is all that is said of them.
        Content::Other(kind @ "application/wasm") => {
            json!({ kind: { "schema": { "type": "string", "format": "binary" } } })
        }
        Content::Other(kind @ "application/json") => json!({ kind: { "schema": { "type": "object" } } }),
        Content::Other(kind) => json!({ kind: { "schema": { "type": "string" } } }),
    }
}

/// The names in braces of a path.
fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// A name for programs that are written from the document: the method, and the path in words.
fn name(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words = words.filter(|word| *word != "v1").map(|word| word[..1].to_ascii_uppercase() + &word[1..]);
    route.method.as_str().to_ascii_lowercase() + &words.collect::<String>()
}

/// Who may ask, in words.
fn roles(needs: Needs) -> Option<String> {
    let names = |deeds: &[Deed]| {
        let roles: BTreeSet<Role> = deeds.iter().flat_map(|deed| deed.roles()).copied().collect();
        let names: Vec<_> = roles.iter().map(|role| role.name()).collect();
        format!("Takes the role {}.", names.join(" or "))
    };
    match needs {
        Needs::Nothing => None,
        Needs::Token => Some("Takes any role.".into()),
        Needs::Role(deed) => Some(names(&[deed])),
        Needs::Either(one, other) => Some(names(&[one, other])),
    }
}

/// A page with nothing in it but text.
fn text(title: &str, content: Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Countersign" }
                link rel="stylesheet" href="/assets/style.css";
            }
            body { main { (content) } }
        }
    };
    page.into_string()
}

fn text_page(page: impl Into<Body>) -> Response {
    let mut response = Html(page.into()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Drawn once: however many strangers take it slowly, it is in memory once.
pub async fn page() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    text_page(TEXT.get_or_init(drawn).as_str())
}

fn drawn() -> String {
    let routes = routes();
    text(
        "HTTP API",
        html! {
            h1 { "HTTP API" }
            p {
                "Every request under " code { "/v1" } " carries a token, " code { "Authorization: Bearer TOKEN" }
                ", which is made where you sign in. Bodies are JSON. A refusal is a problem document with a code. "
                a href="/openapi.json" { "The same for programs" } "."
            }
            ul {
                @for route in &routes {
                    li { a href={ "#" (name(route)) } { code { (route.method) " " (route.path) } } " " (route.about) }
                }
            }
            @for route in &routes { (section(route)) }
            section {
                h2 { "Codes" }
                ul {
                    @for code in Code::ALL {
                        li { a href={ "/docs/refusals/" (code) } { code { (code) } } " " (title(*code)) }
                    }
                }
            }
        },
    )
}

fn section(route: &Route) -> Markup {
    let mut schemas = SchemaSettings::draft2020_12().into_generator();
    let mut shape = |content: Content| match content {
        Content::Json(write) => {
            let named = write(&mut schemas).to_value();
            named["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or("JSON").to_owned()
        }
        Content::Other(kind) => kind.to_owned(),
        Content::Empty => "nothing".to_owned(),
    };
    let fields = route.query.map(|write| written(write).to_value());
    let fields = fields.as_ref().and_then(|schema| schema["properties"].as_object());
    html! {
        section id=(name(route)) {
            h2 { code { (route.method) " " (route.path) } }
            p { (route.about) "." @if let Some(roles) = roles(route.needs) { " " (roles) } }
            dl {
                @for (name, schema) in fields.into_iter().flatten() {
                    dt { code { "?" (name) } }
                    dd { (schema["description"].as_str().unwrap_or_default()) }
                }
                @if route.is_keyed {
                    dt { code { "Idempotency-Key" } }
                    dd { "The same request under the same key is done once in 24 hours." }
                }
                @if let Some((content, most)) = route.body {
                    dt { "Body" }
                    dd { code { (shape(content)) } ", at most " (most) " bytes" }
                }
                @for (status, content) in &route.answers {
                    dt { (status) }
                    dd { code { (shape(*content)) } }
                }
                @for (status, codes) in refusals(route) {
                    dt { (status) }
                    dd { @for code in codes { a href={ "/docs/refusals/" (code) } { code { (code) } } " " } }
                }
            }
        }
    }
}

pub async fn refusal(Named(name): Named) -> Result<Response, Refused> {
    let code: Code = name.parse().map_err(|()| {
        Problem::new(Code::UnknownId, format!("there is no code {}", short(&name, 60)))
            .hint("/docs lists all there are")
    })?;
    Ok(text_page(text(code.name(), explained(code))))
}

/// The page of a code. It is our own text: headings, paragraphs, lists and words in code, and no more of Markdown than that.
fn explained(code: Code) -> Markup {
    html! {
        @for block in code.page().split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
            @if let Some(heading) = block.strip_prefix("# ") { h1 { (heading) } }
            @else if let Some(heading) = block.strip_prefix("## ") {
                @let (heading, rest) = heading.split_once('\n').unwrap_or((heading, ""));
                h2 { (heading) }
                @if !rest.is_empty() { (paragraph(rest)) }
            }
            @else { (paragraph(block)) }
        }
        p { a href="/docs" { "All codes" } }
    }
}

fn paragraph(block: &str) -> Markup {
    let numbered = |line: &str| line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
    if !block.lines().next().is_some_and(|line| numbered(line) || line.starts_with("- ")) {
        return html! { p { (inline(&block.replace('\n', " "))) } };
    }
    let mut items: Vec<String> = Vec::new();
    for line in block.lines() {
        match items.last_mut() {
            Some(item) if line.starts_with(' ') => {
                item.push(' ');
                item.push_str(line.trim());
            }
            _ => {
                let item = line.strip_prefix("- ").or_else(|| Some(line.split_once(". ")?.1));
                items.push(item.unwrap_or(line).to_owned());
            }
        }
    }
    html! {
        @if numbered(block) { ol { @for item in &items { li { (inline(item)) } } } }
        @else { ul { @for item in &items { li { (inline(item)) } } } }
    }
}

/// A line, its words between backquotes as code.
fn inline(text: &str) -> Markup {
    html! {
        @for (number, part) in text.split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
