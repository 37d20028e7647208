//! From the engine and a program to a component.

use crate::RUNTIME;
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, ComponentSection as _, CustomSection, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, ImportSection, Module, RawSection, TypeSection,
};
use wasmparser::{FuncType, Parser, Payload, TypeRef};
use wit_component::ComponentEncoder;

/// The custom section that holds the program, as `wit/deps/interpreter` has it.
pub const PROGRAM_SECTION: &str = "countersign:program";
/// Where calls lead whose capability the manifest does not declare: inside the component, to a trap.
const UNDECLARED: &str = "countersign:undeclared";

/// A component that runs `program`, and imports those of the `calls` there are, beside the interpreter's own.
///
/// # Errors
///
/// None but faults of ours.
pub fn component(calls: &[&str], program: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (module, undeclared) = redirect(RUNTIME, calls)?;
    let mut component = ComponentEncoder::default()
        .module(&module)?
        .validate(true)
        .adapter(UNDECLARED, &traps(&undeclared))?
        .encode()
        .context("cannot wrap the JavaScript engine")?;
    CustomSection { name: PROGRAM_SECTION.into(), data: program.into() }.append_to_component(&mut component);
    Ok(component)
}

/// The name agents know a function of a tool by: `messages.list`. None where it is no tool's.
fn call(interface: &str, function: &str) -> Option<String> {
    let (package, interface) = interface.strip_prefix("countersign:")?.split_once('/')?;
    let tool = interface.split('@').next()?;
    let mut words = function.split('-');
    let mut name = format!("{tool}.{}", words.next()?);
    for word in words {
        let (first, rest) = word.split_at_checked(1)?;
        name += &first.to_ascii_uppercase();
        name += rest;
    }
    (package == tool && tool != "interpreter").then_some(name)
}

/// The engine with the imports of all other calls renamed, and the types of those calls.
fn redirect(engine: &[u8], calls: &[&str]) -> anyhow::Result<(Vec<u8>, BTreeMap<String, FuncType>)> {
    let (mut module, mut undeclared, mut types) = (Module::new(), BTreeMap::new(), Vec::new());
    for payload in Parser::new(0).parse_all(engine) {
        let payload = payload?;
        match &payload {
            Payload::TypeSection(section) => {
                types = section.clone().into_iter_err_on_gc_types().collect::<Result<Vec<_>, _>>()?;
            }
            Payload::ImportSection(section) => {
                let mut imports = ImportSection::new();
                for import in section.clone().into_imports() {
                    let import = import?;
                    let TypeRef::Func(index) = import.ty else { bail!("the engine imports {}", import.name) };
                    match call(import.module, import.name).filter(|call| !calls.contains(&call.as_str())) {
                        Some(call) => {
                            imports.import(UNDECLARED, &call, EntityType::Function(index));
                            let ty = types.get(index as usize).context("a type is missing")?;
                            undeclared.insert(call, ty.clone());
                        }
                        None => {
                            imports.import(import.module, import.name, EntityType::Function(index));
                        }
                    }
                }
                module.section(&imports);
                continue;
            }
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection { id, data: &engine[range] });
        }
    }
    Ok((module.finish(), undeclared))
}

/// A module that exports these functions, each of which traps. The engine never calls them: it has refused before.
fn traps(functions: &BTreeMap<String, FuncType>) -> Vec<u8> {
    let (mut types, mut declared) = (TypeSection::new(), FunctionSection::new());
    let (mut exports, mut code) = (ExportSection::new(), CodeSection::new());
    for (index, (name, ty)) in (0..).zip(functions) {
        let ty = RoundtripReencoder.func_type(ty.clone()).expect("a function type is encoded as it was read");
        types.ty().func_type(&ty);
        declared.function(index);
        exports.export(name, ExportKind::Func, index);
        let mut body = Function::new([]);
        body.instructions().unreachable().end();
        code.function(&body);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&exports).section(&code);
    module.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_know_functions_by_tool_and_name() {
        let name = |interface, function| call(interface, function);
        assert_eq!(name("countersign:messages/messages@0.1.0", "list").as_deref(), Some("messages.list"));
        assert_eq!(
            name("countersign:calendar/calendar@0.1.0", "list-events").as_deref(),
            Some("calendar.listEvents")
        );
        assert_eq!(name("countersign:interpreter/interpreter@0.1.0", "now"), None);
        assert_eq!(name("wasi:cli/exit@0.2.0", "exit"), None);
    }
}
