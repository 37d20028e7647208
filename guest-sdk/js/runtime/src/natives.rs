//! What the prelude gets from outside JavaScript. It has checked the types of everything it hands over.

use crate::bindings::ToolError;
use crate::bindings::countersign::approval::approval;
use crate::bindings::countersign::interpreter::interpreter;
use crate::bindings::countersign::messages::messages;
use crate::engine::optional;
use rquickjs::function::{Opt, Rest};
use rquickjs::{Array, Ctx, FromJs as _, Function, Object, Result, TypedArray, Value};
use url::{Url, form_urlencoded, quirks};

/// An object of functions.
pub fn all<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let natives = Object::new(ctx.clone())?;
    natives.set("list", Function::new(ctx.clone(), list)?)?;
    natives.set("send", Function::new(ctx.clone(), send)?)?;
    natives.set("request", Function::new(ctx.clone(), request)?)?;
    natives.set("result", Function::new(ctx.clone(), result)?)?;
    natives.set("now", Function::new(ctx.clone(), interpreter::now)?)?;
    natives.set("sleep", Function::new(ctx.clone(), interpreter::sleep)?)?;
    natives.set("print", Function::new(ctx.clone(), |line: String| interpreter::print(&line))?)?;
    natives.set("random", Function::new(ctx.clone(), random)?)?;
    natives.set("encode", Function::new(ctx.clone(), encode)?)?;
    natives.set("decode", Function::new(ctx.clone(), decode)?)?;
    natives.set("parseUrl", Function::new(ctx.clone(), parse_url)?)?;
    natives.set("changeUrl", Function::new(ctx.clone(), change_url)?)?;
    natives.set("parseForm", Function::new(ctx.clone(), parse_form)?)?;
    natives.set("writeForm", Function::new(ctx.clone(), write_form)?)?;
    Ok(natives)
}

/// A refusal as a value; the prelude throws it.
fn refused<'js>(ctx: &Ctx<'js>, error: ToolError) -> Result<Value<'js>> {
    let refusal = Object::new(ctx.clone())?;
    refusal.set("refused", error.code)?;
    refusal.set("message", error.message)?;
    refusal.set("details", error.details)?;
    Ok(refusal.into_value())
}

fn list<'js>(
    ctx: Ctx<'js>,
    from: Option<String>,
    after: Option<String>,
    limit: Option<i32>,
) -> Result<Value<'js>> {
    let listed = match messages::list(&messages::Filter { from, after, limit }) {
        Ok(listed) => listed,
        Err(error) => return refused(&ctx, error),
    };
    let array = Array::new(ctx.clone())?;
    for (index, message) in listed.into_iter().enumerate() {
        let object = Object::new(ctx.clone())?;
        object.set("id", message.id)?;
        object.set("from", message.from)?;
        object.set("to", message.to)?;
        object.set("subject", message.subject)?;
        object.set("body", message.body)?;
        if message.truncated {
            object.set("truncated", true)?;
        }
        object.set("timestamp", message.timestamp)?;
        object.set("unread", message.unread)?;
        extras(&ctx, &object, message.extras)?;
        array.set(index, object)?;
    }
    Ok(array.into_value())
}

fn extras<'js>(ctx: &Ctx<'js>, object: &Object<'js>, extras: Option<String>) -> Result<()> {
    match extras {
        Some(extras) => object.set("extras", ctx.json_parse(extras)?),
        None => Ok(()),
    }
}

fn send<'js>(
    ctx: Ctx<'js>,
    to: Vec<String>,
    cc: Vec<String>,
    bcc: Vec<String>,
    subject: String,
    body: String,
    body_kind: Option<String>,
) -> Result<Value<'js>> {
    match messages::send(&messages::Outgoing { to, cc, bcc, subject, body, body_kind }) {
        Ok(sent) => {
            let object = Object::new(ctx.clone())?;
            object.set("id", sent.id)?;
            object.set("timestamp", sent.timestamp)?;
            extras(&ctx, &object, sent.extras)?;
            Ok(object.into_value())
        }
        Err(error) => refused(&ctx, error),
    }
}

fn request<'js>(
    ctx: Ctx<'js>,
    action: String,
    title: String,
    description: String,
    details: Option<String>,
) -> Result<Value<'js>> {
    match approval::request(&approval::Ask { action, title, description, details }) {
        Ok(answer) => answered(&ctx, answer),
        Err(error) => refused(&ctx, error),
    }
}

fn result<'js>(ctx: Ctx<'js>, id: String) -> Result<Value<'js>> {
    match approval::result(&id) {
        Ok(Some(answer)) => answered(&ctx, answer),
        Ok(None) => Ok(Value::new_null(ctx)),
        Err(error) => refused(&ctx, error),
    }
}

fn answered<'js>(ctx: &Ctx<'js>, answer: approval::Answer) -> Result<Value<'js>> {
    let object = Object::new(ctx.clone())?;
    object.set("approved", answer.approved)?;
    object.set("approvalId", answer.approval_id)?;
    object.set("timestamp", answer.timestamp)?;
    extras(ctx, &object, answer.extras)?;
    Ok(object.into_value())
}

fn random<'js>(ctx: Ctx<'js>, length: u32) -> Result<TypedArray<'js, u8>> {
    TypedArray::new(ctx, interpreter::random(length))
}

fn encode<'js>(ctx: Ctx<'js>, text: String) -> Result<TypedArray<'js, u8>> {
    TypedArray::new(ctx, text)
}

/// UTF-8 as the Encoding Standard decodes it; null where `fatal` and the bytes are not UTF-8.
fn decode<'js>(
    ctx: Ctx<'js>,
    bytes: TypedArray<'js, u8>,
    fatal: bool,
    keep_mark: bool,
) -> Result<Value<'js>> {
    #[allow(unsafe_code, reason = "the bytes are read in place")]
    // SAFETY: no JavaScript runs while they are borrowed, so nothing can free, move or write them.
    let bytes = unsafe { bytes.as_bytes() }.unwrap_or_default();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").filter(|_| !keep_mark).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    match fatal && std::str::from_utf8(bytes).is_err() {
        true => Ok(Value::new_null(ctx)),
        false => rquickjs::String::from_str(ctx, &text).map(rquickjs::String::into_value),
    }
}

/// The members of a URL, which is always the first; null where it is none.
fn members<'js>(ctx: Ctx<'js>, url: Option<&Url>) -> Result<Value<'js>> {
    let Some(url) = url else { return Ok(Value::new_null(ctx)) };
    let object = Object::new(ctx)?;
    object.set("href", url.as_str())?;
    object.set("origin", quirks::origin(url))?;
    object.set("protocol", quirks::protocol(url))?;
    object.set("username", quirks::username(url))?;
    object.set("password", quirks::password(url))?;
    object.set("host", quirks::host(url))?;
    object.set("hostname", quirks::hostname(url))?;
    object.set("port", quirks::port(url))?;
    object.set("pathname", quirks::pathname(url))?;
    object.set("search", quirks::search(url))?;
    object.set("hash", quirks::hash(url))?;
    Ok(object.into_value())
}

fn parse_url<'js>(ctx: Ctx<'js>, text: String, base: Opt<Value<'js>>) -> Result<Value<'js>> {
    let base = match base.0.as_ref().and_then(optional) {
        Some(base) => match Url::parse(&String::from_js(&ctx, base)?) {
            Ok(base) => Some(base),
            Err(_) => return members(ctx, None),
        },
        None => None,
    };
    members(ctx, Url::options().base_url(base.as_ref()).parse(&text).ok().as_ref())
}

/// A URL with one member changed. A value that does not fit changes nothing, as the URL Standard has it.
fn change_url<'js>(ctx: Ctx<'js>, href: String, member: String, value: String) -> Result<Value<'js>> {
    let Ok(mut url) = Url::parse(&href) else { return members(ctx, None) };
    let url = &mut url;
    let _ = match member.as_str() {
        "protocol" => quirks::set_protocol(url, &value),
        "username" => quirks::set_username(url, &value),
        "password" => quirks::set_password(url, &value),
        "host" => quirks::set_host(url, &value),
        "hostname" => quirks::set_hostname(url, &value),
        "port" => quirks::set_port(url, &value),
        "pathname" => {
            quirks::set_pathname(url, &value);
            Ok(())
        }
        "search" => {
            quirks::set_search(url, &value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(url, &value);
            Ok(())
        }
        _ => Ok(()),
    };
    members(ctx, Some(url))
}

/// Name, value, name, value.
fn parse_form(text: String) -> Vec<String> {
    form_urlencoded::parse(text.as_bytes())
        .flat_map(|(name, value)| [name.into_owned(), value.into_owned()])
        .collect()
}

fn write_form(pairs: Rest<String>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for pair in pairs.0.chunks_exact(2) {
        form.append_pair(&pair[0], &pair[1]);
    }
    form.finish()
}
