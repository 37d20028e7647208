//! The guest's side of the counter.

use super::{LIST, Mail, SEND, View, rules};
use crate::approval::Approval;
use crate::approval::binding::{Judgement, judge, required};
use crate::approval::decision::State;
use crate::authority::{Capability, confine};
use crate::clock::{Millis, rfc3339};
use crate::journal::{Change, Live, Mode, Stop, ToolError};
use crate::tools::bindings::messages::messages::{Filter, Host, Message, Outgoing, Sent};
use crate::tools::{into_guest, types};
use serde_json::json;

impl types::Host for View<'_> {
    fn convert_tool_error(&mut self, error: ToolError) -> wasmtime::Result<types::ToolError> {
        into_guest(error)
    }
}

impl Host for View<'_> {
    async fn list(&mut self, filter: Filter) -> Result<Vec<Message>, ToolError> {
        let View { authority, identity, journal, mailbox, .. } = self;
        let live = async {
            let permit = authority.admit(&LIST)?;
            let query = rules::query(&filter)?;
            confine(&permit, Capability::MessagesRead, query.from.as_deref())?;
            let found = mailbox.list(permit, &identity.tenant, &identity.user, query).await?;
            Ok(Live::answer(found.into_iter().map(Message::from).collect::<Vec<_>>()))
        };
        journal.answer(&LIST, &filter, live).await
    }

    async fn send(&mut self, message: Outgoing) -> Result<Sent, ToolError> {
        let View { authority, identity, policy, leaves_at_once, journal, approvals, .. } = self;
        let (mode, now) = (journal.mode(), journal.now());
        let (mut released, mut cancelled) = (None, None);
        let live = async {
            let action = match (rules::admit(authority, identity, policy, message.clone(), approvals), mode) {
                (Ok(action), Mode::Branch) => return Err(Stop::Found(Box::new(action)).into()),
                (Err(refusal), Mode::Branch) => return Err(Stop::Barred(refusal).into()),
                (admitted, Mode::Live | Mode::Replay) => admitted?,
            };
            match judge(approvals, &action, now) {
                Judgement::Release { approval } => {
                    let sent = sent(approvals, &approval, now);
                    if !*leaves_at_once {
                        let answer = serde_json::to_string(&sent).map_err(anyhow::Error::from)?;
                        return Err(Stop::Send { approval, message: sent.id, answer }.into());
                    }
                    released = Some(approval.clone());
                    let withdrawn = required("withdrawn", &[], Some(&approval));
                    let change = Change::Release { message: sent.id.clone(), approval };
                    Ok(Live::effect(sent, change, withdrawn))
                }
                Judgement::Park { hold } => Err(Stop::Park { action: Box::new(action), hold }.into()),
                Judgement::Refuse { refusal, cancel } => {
                    cancelled = cancel.clone();
                    Ok(Live::refuse(refusal, cancel.map(|approval| Change::Disarm { approval })))
                }
            }
        };
        let answer = journal.answer(&SEND, &message, live).await;
        // What is on disk by now: the message has left, or it was withdrawn by somebody else or by what the agent did.
        let state = if answer.is_ok() { State::Used } else { State::Cancelled };
        let spent = released.or(cancelled);
        approvals.iter_mut().filter(|a| Some(&a.id) == spent.as_ref()).for_each(|a| a.state = state);
        answer
    }
}

/// What the agent hears of a message that has left: also whether a person has changed it.
fn sent(approvals: &[Approval], approval: &str, now: Millis) -> Sent {
    let edited = approvals.iter().any(|a| a.id == approval && a.edited.is_some());
    Sent {
        id: message_of(approval),
        timestamp: rfc3339(now),
        extras: edited.then(|| json!({ "edited": true }).to_string()),
    }
}

/// A sent message is named after the approval that let it out, so its name is known before it leaves.
pub(crate) fn message_of(approval: &str) -> String {
    approval.replacen("appr_", "msg_", 1)
}

impl From<Mail> for Message {
    fn from(mail: Mail) -> Message {
        Message {
            id: mail.id,
            from: mail.from,
            to: mail.to,
            subject: mail.subject,
            body: mail.body,
            truncated: mail.truncated,
            timestamp: rfc3339(mail.timestamp_ms),
            unread: mail.unread,
            extras: mail.extras,
        }
    }
}
