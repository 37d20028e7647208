//! The boundary to the guest, generated from `wit/`. Only the rooms and the engine name these types.

#[allow(missing_docs, reason = "documented in the WIT they are generated from")]
mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        // The larger of the two worlds: it is `agent` and what an interpreter imports.
        world: "countersign:agent/interpreted-agent",
        imports: { default: async | trappable },
        exports: { default: async },
        trappable_error_type: { "countersign:types/types.tool-error" => crate::journal::ToolError },
        additional_derives: [serde::Serialize, serde::Deserialize, Clone],
    });
}

pub use generated::countersign::{approval, interpreter, messages, types::types};
pub use generated::{InterpretedAgent as Agent, InterpretedAgentPre as AgentPre};
