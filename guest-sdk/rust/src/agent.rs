//! Turns a handler into a component.

use crate::{Card, Context, Error, Intent, Tools, bindings};

/// Makes a component of one function.
///
/// `agent!(handle_intent, manifest = "../agent.json");` stands once in an agent, outside functions. The handler is any
/// `fn(Intent, Context, Tools) -> Result<Card, Error>`, or `Result<Option<Card>, Error>` where there may be nothing to
/// show. The path is relative to the file the line stands in, as with `include_bytes!`; see
/// [`manifest!`](crate::manifest!) for what may be in that file.
///
/// It does not compile when the file is missing. What the manifest says is checked when the agent is installed.
///
/// ```
/// use countersign_sdk::{Card, Context, Error, Intent, Tools};
///
/// # /*
/// countersign_sdk::agent!(handle_intent, manifest = "../agent.json");
/// # */
/// # countersign_sdk::agent!(handle_intent, manifest = "../Cargo.toml");
///
/// fn handle_intent(intent: Intent, _context: Context, _tools: Tools) -> Result<Card, Error> {
///     Ok(Card::result("Hello").description(format!("You asked for `{}`.", intent.action)))
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! agent {
    ($handler:path, manifest = $manifest:literal $(,)?) => {
        const _: () = {
            struct Exported;

            impl $crate::bindings::Guest for Exported {
                fn handle_intent(
                    intent: $crate::bindings::Intent,
                    context: $crate::bindings::Context,
                ) -> ::core::result::Result<
                    ::core::option::Option<$crate::bindings::Card>,
                    $crate::bindings::ToolError,
                > {
                    $crate::answer($handler, intent, context)
                }
            }

    $crate::bindings::export!(Exported with_types_in $crate::bindings);
        };

        $crate::manifest!($manifest);
    };
}

/// Answers one intent with a handler: what `agent!` exports.
///
/// Errors: whatever the handler returns, and `INTERNAL_ERROR` where the host's parameters are no JSON.
pub fn answer<C: Into<Option<Card>>>(
    handler: impl FnOnce(Intent, Context, Tools) -> Result<C, Error>,
    intent: bindings::Intent,
    context: bindings::Context,
) -> Result<Option<bindings::Card>, bindings::ToolError> {
    let tools = Tools { messages: crate::Messages::new(), approval: crate::Approval::new() };
    let card = handler(Intent::try_from(intent)?, context.into(), tools)?;
    Ok(card.into().map(bindings::Card::from))
}
