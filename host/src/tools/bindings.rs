//! The boundary to the guest, generated from `wit/`. Only the rooms and the engine name these types.

#[allow(missing_docs, reason = "documented in the WIT they are generated from")]
mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "countersign:agent/agent",
        imports: { default: async | trappable },
        exports: { default: async },
        trappable_error_type: { "countersign:types/types.tool-error" => crate::journal::ToolError },
        additional_derives: [serde::Serialize, serde::Deserialize, Clone],
    });
}

pub use generated::countersign::{approval, messages, types::types};
pub use generated::{Agent, AgentPre};
