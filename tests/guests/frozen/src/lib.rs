//! An agent of the first day: built by plain `wit-bindgen` from its own copy of the contract as first published.
//!
//! It uses every import once, so that a change to any of them is noticed. Whatever it is asked, it lists one message,
//! asks for the approval of a mail, looks the approval up and sends the mail.

#![allow(clippy::too_many_arguments, reason = "generated code takes a record as one argument a member")]

use countersign::{approval::approval, messages::messages};

wit_bindgen::generate!({ world: "agent", path: "wit", generate_all });

struct Frozen;

export!(Frozen);

#[used]
#[cfg_attr(target_arch = "wasm32", unsafe(link_section = "countersign:manifest"))]
static MANIFEST: [u8; include_bytes!("../agent.json").len()] = *include_bytes!("../agent.json");

impl Guest for Frozen {
    fn handle_intent(_intent: Intent, _context: Context) -> Result<Option<Card>, ToolError> {
        let newest = messages::list(&messages::Filter { from: None, after: None, limit: Some(1) })?;
        let answer = approval::request(&approval::Ask {
            action: "send_message".to_owned(),
            title: "Send an old mail".to_owned(),
            description: "Sends a mail to old@example.com".to_owned(),
            details: Some(r#"{"to": ["old@example.com"], "subject": "Old", "body": "As ever."}"#.to_owned()),
        })?;
        let looked_up = approval::result(&answer.approval_id)?;
        if !answer.approved {
            return Ok(Some(card("error", "Not sent")));
        }
        messages::send(&messages::Outgoing {
            to: vec!["old@example.com".to_owned()],
            cc: Vec::new(),
            bcc: Vec::new(),
            subject: "Old".to_owned(),
            body: "As ever.".to_owned(),
            body_kind: None,
        })?;
        let title = format!("Listed {}, looked up {}, sent", newest.len(), looked_up.is_some());
        Ok(Some(card("result", &title)))
    }
}

fn card(kind: &str, title: &str) -> Card {
    Card {
        kind: kind.to_owned(),
        title: title.to_owned(),
        content: Some(r#"{"description": "Mail to old@example.com"}"#.to_owned()),
    }
}
