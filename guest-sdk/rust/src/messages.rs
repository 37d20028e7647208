//! Read and send mail on behalf of the user.

use crate::bindings::countersign::messages::messages as raw;
use crate::{Error, Value, json_member};

/// The tool for mail.
#[derive(Clone, Copy, Debug)]
pub struct Messages(());

impl Messages {
    pub(crate) fn new() -> Messages {
        Messages(())
    }

    /// Lists incoming messages, newest first. Needs `messages.read`. Listing does not mark them as read.
    ///
    /// Errors: `CAPABILITY_DENIED` without the capability; `INVALID_PARAMETER` where the filter is malformed;
    /// `SCOPE_VIOLATION` where it asks for what the manifest's scopes exclude; `NETWORK_ERROR` where the mailbox cannot be
    /// reached.
    pub fn list(&self, filter: Filter) -> Result<Vec<Message>, Error> {
        let filter = raw::Filter { from: filter.from, after: filter.after, limit: filter.limit };
        Ok(raw::list(&filter)?.into_iter().map(Message::from).collect())
    }

    /// Sends one message. Needs `messages.send`, and a person's approval of exactly this message.
    ///
    /// Errors: `CAPABILITY_DENIED` without the capability; `INVALID_RECIPIENT` with the bad addresses;
    /// `APPROVAL_REQUIRED` where no approval covers exactly this message; `APPROVAL_DENIED` where the person declined
    /// it; `NETWORK_ERROR` where it was not sent, or may have been: the details say `outcome`.
    pub fn send(&self, message: Outgoing) -> Result<Sent, Error> {
        let sent = raw::send(&raw::Outgoing {
            to: message.to,
            cc: message.cc,
            bcc: message.bcc,
            subject: message.subject,
            body: message.body,
            body_kind: message.body_kind.map(|kind| kind.name().to_owned()),
        })?;
        Ok(Sent { id: sent.id, timestamp: sent.timestamp, extras: json_member(sent.extras) })
    }
}

/// Which messages to list. Members that are absent do not restrict.
///
/// ```
/// use countersign_sdk::Filter;
///
/// let filter = Filter::default().from("boss@company.com").after("2026-11-01").limit(50);
/// assert_eq!(filter.limit, Some(50));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Sender: the whole address, compared without regard to case.
    pub from: Option<String>,
    /// Only messages later than this: RFC 3339, or a date, which means 00:00 UTC of that day.
    pub after: Option<String>,
    /// How many at most, 1 to 100; 20 where absent.
    pub limit: Option<i32>,
}

impl Filter {
    /// Only messages of this sender.
    pub fn from(self, address: impl Into<String>) -> Filter {
        Filter { from: Some(address.into()), ..self }
    }

    /// Only messages later than this: RFC 3339, or a date, which means 00:00 UTC of that day.
    pub fn after(self, time: impl Into<String>) -> Filter {
        Filter { after: Some(time.into()), ..self }
    }

    /// How many at most. The host refuses anything but 1 to 100 with `INVALID_PARAMETER`.
    pub fn limit(self, limit: i32) -> Filter {
        Filter { limit: Some(limit), ..self }
    }
}

/// An incoming message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Names the message in this mailbox, `msg_…`.
    pub id: String,
    /// Address of the sender: one that is clear, or nothing.
    pub from: String,
    /// Addresses of the To header.
    pub to: Vec<String>,
    /// Decoded subject.
    pub subject: String,
    /// What a person would read of it, HTML and invitations as text; at most 16 KiB.
    pub body: String,
    /// True where `body` was cut.
    pub truncated: bool,
    /// The Date header in UTC where it can be true, or else the time of receipt; RFC 3339.
    pub timestamp: String,
    /// True while nobody has read it.
    pub unread: bool,
    /// A JSON object with `messageId`, `inReplyTo`, `thread`, `cc`, `replyTo`, `names` (by address) and `attachments` (of `type`,
    /// `name` and `size`) where known; `null` where there is nothing. Whoever wrote the message chose all of it.
    pub extras: Value,
}

impl Message {
    /// The Message-ID header, where known.
    pub fn message_id(&self) -> Option<&str> {
        self.extras["messageId"].as_str()
    }

    /// The Message-ID this message replies to, where known.
    pub fn in_reply_to(&self) -> Option<&str> {
        self.extras["inReplyTo"].as_str()
    }

    /// The thread this message belongs to, where known.
    pub fn thread(&self) -> Option<&str> {
        self.extras["thread"].as_str()
    }
}

impl From<raw::Message> for Message {
    fn from(message: raw::Message) -> Message {
        Message {
            id: message.id,
            from: message.from,
            to: message.to,
            subject: message.subject,
            body: message.body,
            truncated: message.truncated,
            timestamp: message.timestamp,
            unread: message.unread,
            extras: json_member(message.extras),
        }
    }
}

/// A message to send.
///
/// ```
/// use countersign_sdk::Outgoing;
///
/// let message = Outgoing::to("team@company.com").cc("boss@company.com").subject("Report").body("Attached.");
/// assert_eq!(message.to, ["team@company.com"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// At least one address.
    pub to: Vec<String>,
    /// Further recipients whom everybody sees.
    pub cc: Vec<String>,
    /// Further recipients whom nobody else sees.
    pub bcc: Vec<String>,
    /// May be empty, which is pointed out to the person.
    pub subject: String,
    /// May be empty, which is pointed out to the person.
    pub body: String,
    /// What the body is. Where absent, a body that starts with `<!doctype html` or `<html` is HTML. HTML leaves as the host writes
    /// it; what a reader would see otherwise than the person is shown, such as `style`, pictures or a line break in a cell, is
    /// `INVALID_PARAMETER`, with the cure.
    pub body_kind: Option<BodyKind>,
}

impl Outgoing {
    /// An empty message to one address.
    pub fn to(address: impl Into<String>) -> Outgoing {
        Outgoing { to: vec![address.into()], ..Outgoing::default() }
    }

    /// Adds a recipient like the first.
    pub fn also_to(mut self, address: impl Into<String>) -> Outgoing {
        self.to.push(address.into());
        self
    }

    /// Adds a recipient whom everybody sees.
    pub fn cc(mut self, address: impl Into<String>) -> Outgoing {
        self.cc.push(address.into());
        self
    }

    /// Adds a recipient whom nobody else sees.
    pub fn bcc(mut self, address: impl Into<String>) -> Outgoing {
        self.bcc.push(address.into());
        self
    }

    /// Sets the subject.
    pub fn subject(self, subject: impl Into<String>) -> Outgoing {
        Outgoing { subject: subject.into(), ..self }
    }

    /// Sets the body, leaving it to its beginning whether it is text or HTML.
    pub fn body(self, body: impl Into<String>) -> Outgoing {
        Outgoing { body: body.into(), ..self }
    }

    /// Says what the body is, whatever it begins with.
    pub fn body_kind(self, kind: BodyKind) -> Outgoing {
        Outgoing { body_kind: Some(kind), ..self }
    }
}

/// What the body of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// Plain text.
    Text,
    /// HTML, in the small safe subset the host admits; anything else is `INVALID_PARAMETER`.
    Html,
}

impl BodyKind {
    fn name(self) -> &'static str {
        match self {
            BodyKind::Text => "text",
            BodyKind::Html => "html",
        }
    }
}

/// A message that has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Names the message in this mailbox, `msg_…`.
    pub id: String,
    /// When it left; RFC 3339.
    pub timestamp: String,
    /// A JSON object with `edited` where a person changed the message; `null` where there is nothing.
    pub extras: Value,
}

impl Sent {
    /// Whether a person changed the message before they signed it: what has left is theirs.
    pub fn edited(&self) -> bool {
        self.extras["edited"] == true
    }
}
