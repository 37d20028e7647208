//! The record of everything that was decided and sent.

use super::wrong::alert;
use super::{Page, Place, VALUE_CHARS_MAX, count, empty, text};
use crate::view::{AuditEntry, Failure, Verified};
use countersign::refusals::Code;
use maud::html;

/// How many of its last entries the page shows.
pub const ENTRIES_SHOWN_MAX: usize = 50;

/// The page of the record.
pub struct Record<'a> {
    /// Hash of the last entry.
    pub head: &'a str,
    /// The last entries, newest first.
    pub entries: &'a [AuditEntry],
    /// How many there are.
    pub total: usize,
    /// What following it came to, if it was followed just now.
    pub verified: Option<Result<&'a Verified, (Code, &'a Failure)>>,
    /// The hash that was asked about.
    pub asked: &'a str,
}

/// Draws it.
pub fn record(record: &Record<'_>) -> Page {
    let main = html! {
        @match &record.verified {
            Some(Ok(verified)) => {
                div.standing.done role="status" {
                    p { strong { "The record is as it was written." } " " (count(verified.entries as usize, "entry").replace("entrys", "entries")) ", up to the head." }
                    @if !record.asked.is_empty() { p { "The hash you kept is in it." } }
                }
            }
            Some(Err((code, failure))) => (alert(*code, failure)),
            None => {}
        }
        p { "The head is " code.digest { (record.head) } }
        p.quiet { "Whoever keeps it somewhere else can prove later that nothing before it was changed." }
        form method="get" action="/audit" {
            input type="hidden" name="verify" value="yes";
            p.field {
                label for="head" { "A hash you kept " span.quiet { "(optional)" } }
                input #head type="text" name="head" value=(countersign::printable::line(record.asked)) autocomplete="off" spellcheck="false";
            }
            button type="submit" { "Verify" }
        }
        section aria-labelledby="entries" {
            h2 #entries { "Last entries" }
            @if record.entries.is_empty() { (empty("Nothing has been decided yet.", html! {})) } @else {
                ol.timeline reversed start=(record.total) {
                    @for entry in record.entries {
                        li {
                            p { "Entry " (entry.seq) ": " strong { (text::say(&entry.kind)) } " " span.quiet { (text::time(&entry.at)) } }
                            details id={ "entry-" (entry.seq) } {
                                summary { "What it says" span.unseen { ", entry " (entry.seq) } }
                                (text::block_of(entry.body.get(), VALUE_CHARS_MAX))
                                p { "Hash " code.digest { (entry.hash) } }
                            }
                        }
                    }
                }
            }
        }
    };
    Page::new("Audit", Some(Place::Audit), main)
}
