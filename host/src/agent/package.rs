//! The bytes of a component: what they are, and the manifest they carry.

use super::Manifest;
use crate::digest::Digest;
use crate::refusals::{Code, Problem, Result};
use wasm_encoder::{ComponentSection as _, CustomSection};
use wasmparser::component_types::ComponentEntityType;
use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload, ValidPayload, Validator, WasmFeatures};

/// The custom section that holds the manifest.
pub const MANIFEST_SECTION: &str = "countersign:manifest";
/// The custom section that holds the program of an agent that is interpreted.
pub const PROGRAM_SECTION: &str = "countersign:program";
/// The largest component, in bytes.
pub const COMPONENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How deep modules and components may nest before reading stops.
const NESTING_MAX: usize = 16;

/// A component and the manifest it carries, not yet compiled.
#[derive(Debug)]
pub struct Package {
    /// The bytes, as they will be stored.
    pub bytes: Vec<u8>,
    /// Their SHA-256.
    pub digest: Digest,
    /// The text of the embedded manifest, if there is one.
    pub embedded: Option<String>,
    /// Names of what it imports, with versions.
    pub imports: Vec<String>,
    /// The functions it imports, each with its interface: what it can call at all. None where it is no valid component.
    pub functions: Option<Vec<(String, String)>>,
    /// Names of what it exports.
    pub exports: Vec<String>,
}

impl Package {
    /// Looks at bytes a stranger sent.
    ///
    /// # Errors
    ///
    /// `COMPONENT_TOO_LARGE`, `PRECOMPILED`, `CORE_MODULE`, `MALFORMED_COMPONENT`, or `MANIFEST_INVALID` where more than one
    /// manifest is embedded.
    pub fn read(bytes: Vec<u8>) -> Result<Package> {
        let Contents { embedded, imports, exports } = inspect(&bytes)?;
        let functions = functions(&bytes, &imports);
        Ok(Package { digest: Digest::of(&bytes), bytes, embedded, imports, functions, exports })
    }

    /// Whether it imports the function `name` of `interface`, whatever the version; where that cannot be told, whether it imports
    /// the interface.
    pub fn calls(&self, interface: &str, name: &str) -> bool {
        let is = |import: &str| import.split('@').next() == Some(interface);
        match &self.functions {
            Some(functions) => functions.iter().any(|(of, function)| is(of) && function == name),
            None => self.imports.iter().any(|import| is(import)),
        }
    }

    /// The manifest: the embedded one, or `beside` where none is embedded. Where there are both they must be equal.
    ///
    /// # Errors
    ///
    /// `MANIFEST_MISSING`, `MANIFEST_DIFFERS`, `MANIFEST_INVALID`.
    pub fn manifest(&self, beside: Option<&str>) -> Result<Manifest> {
        let embedded = self.embedded.as_deref().map(Manifest::parse).transpose()?;
        let beside = beside.map(Manifest::parse).transpose()?;
        match (embedded, beside) {
            (Some(embedded), Some(beside)) if embedded != beside => Err(Problem::new(
                Code::ManifestDiffers,
                "the manifest beside the component differs from the one embedded in it",
            )
            .hint("leave out --manifest, or build the component again with the new manifest")
            .into()),
            (Some(manifest), _) | (None, Some(manifest)) => Ok(manifest),
            (None, None) => Err(Problem::new(
                Code::ManifestMissing,
                "the component carries no manifest and none was given",
            )
            .hint("pass --manifest agent.json, or embed it with `countersign agent pack`")
            .into()),
        }
    }

    /// The same component with `manifest` embedded.
    ///
    /// # Errors
    ///
    /// As [`manifest`](Package::manifest); a component that carries the same manifest already is returned as it is.
    pub fn pack(self, manifest: &str) -> Result<Vec<u8>> {
        self.manifest(Some(manifest))?;
        let mut bytes = self.bytes;
        if self.embedded.is_none() {
            let text = super::manifest::without_comments(manifest);
            let json: serde_json::Value = serde_json::from_str(&text).expect("parsed above");
            let data = json.to_string().into_bytes();
            CustomSection { name: MANIFEST_SECTION.into(), data: data.into() }
                .append_to_component(&mut bytes);
        }
        Ok(bytes)
    }
}

/// A component taken apart: what is compiled, and what is only read.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts {
    /// The component without its custom sections. Agents on the same interpreter have the same.
    pub code: Vec<u8>,
    /// What the custom section of that name holds; empty where there is none.
    pub program: Vec<u8>,
}

impl Parts {
    /// Takes a component apart. It may be anything: what cannot be read stays where it is, for the compiler to refuse.
    pub fn of(component: &[u8]) -> Parts {
        let (head, mut rest) = component.split_at(component.len().min(8));
        let mut parts = Parts { code: head.to_vec(), program: Vec::new() };
        while let Some((id, content, tail)) = section(rest) {
            if id != CUSTOM {
                parts.code.extend(&rest[..rest.len() - tail.len()]);
            } else if let Some((name, data)) = sized(content)
                && name == PROGRAM_SECTION.as_bytes()
            {
                parts.program = data.to_vec();
            }
            rest = tail;
        }
        parts.code.extend(rest);
        parts
    }
}

/// The id of custom sections.
const CUSTOM: u8 = 0;

/// The first section: its id, its content, and what follows it.
fn section(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (id, rest) = bytes.split_first()?;
    let (content, tail) = sized(rest)?;
    Some((*id, content, tail))
}

/// So many bytes as their length in LEB128 says, and what follows them.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length: u64 = 0;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        length |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return bytes[at + 1..].split_at_checked(usize::try_from(length).ok()?);
        }
    }
    None
}

struct Contents {
    embedded: Option<String>,
    imports: Vec<String>,
    exports: Vec<String>,
}

/// Checks the form of the file, lists its surface, and finds the manifest: on the component itself, or else in exactly
/// one inner module.
fn inspect(bytes: &[u8]) -> Result<Contents> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        let message =
            format!("the file has more than {COMPONENT_BYTES_MAX} bytes, the most an agent may have");
        return Err(Problem::new(Code::ComponentTooLarge, message)
            .hint("build it optimised for size and stripped: `countersign explain COMPONENT_TOO_LARGE` says how")
            .into());
    }
    // What wasmtime writes when it compiles ahead of time is an ELF file. Loading one would run whatever it contains.
    if bytes.starts_with(b"\x7fELF") {
        return Err(Problem::new(
            Code::Precompiled,
            "the file is precompiled machine code, which is never loaded",
        )
        .hint("install the .wasm it was compiled from")
        .into());
    }
    let malformed = |what: String| {
        Problem::new(Code::MalformedComponent, what)
            .hint("build or download it again; `countersign explain MALFORMED_COMPONENT` says more")
    };
    if !bytes.starts_with(b"\0asm") {
        return Err(malformed("the file is not WebAssembly".into()).into());
    }
    let (mut outer, mut inner) = (Vec::new(), Vec::new());
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let (mut depth, mut programs) = (0, 0);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| malformed(format!("not a whole component: {error}")))?;
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(Problem::new(Code::CoreModule, "the file is a core module, not a component")
                    .hint("build for wasm32-wasip2, or turn it into a component with `wasm-tools component new`")
                    .into());
            }
            Payload::ModuleSection { unchecked_range: range, .. }
            | Payload::ComponentSection { unchecked_range: range, .. } => {
                // A file cut between two sections of an inner module would read without an error.
                if range.end > bytes.len() {
                    return Err(malformed("not a whole component: the file is cut short".into()).into());
                }
                depth += 1;
                if depth > NESTING_MAX {
                    return Err(malformed(format!("components nest deeper than {NESTING_MAX}")).into());
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(|error| malformed(error.to_string()))?;
                    // Naming a type of an imported interface is an import of its own, and gives nothing.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(|error| malformed(error.to_string()))?;
                    exports.push(export.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if depth == 0 && section.name() == PROGRAM_SECTION => {
                programs += 1
            }
            Payload::CustomSection(section) if section.name() == MANIFEST_SECTION => {
                let sections = if depth == 0 { &mut outer } else { &mut inner };
                let text = String::from_utf8(section.data().to_vec());
                sections.push(text.map_err(|_| malformed("the embedded manifest is not UTF-8".into()))?);
            }
            _ => {}
        }
    }
    if programs > 1 {
        return Err(malformed(format!("the component carries {programs} programs; it may carry one")).into());
    }
    let mut found = if outer.is_empty() { inner } else { outer };
    if found.len() > 1 {
        let message = format!("the component carries {} manifests; it may carry one", found.len());
        return Err(Problem::new(Code::ManifestInvalid, message).into());
    }
    Ok(Contents { embedded: found.pop(), imports, exports })
}

/// The functions of the interfaces a component imports; none where it is no valid component.
fn functions(bytes: &[u8], imports: &[String]) -> Option<Vec<(String, String)>> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut types = None;
    for payload in Parser::new(0).parse_all(bytes) {
        // The bodies of functions are left to the compiler, which has to look at them anyway.
        if let ValidPayload::End(end) = validator.payload(&payload.ok()?).ok()? {
            types = Some(end);
        }
    }
    let types = types?;
    let mut functions = Vec::new();
    for import in imports {
        match types.component_item_for_import(import)?.ty {
            ComponentEntityType::Instance(instance) => {
                let exports = types.as_ref().get(instance)?.exports.iter();
                let names = exports.filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
                functions.extend(names.map(|(name, _)| (import.clone(), name.clone())));
            }
            ComponentEntityType::Func(_) => functions.push((String::new(), import.clone())),
            _ => {}
        }
    }
    Some(functions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusals::Error;

    const MANIFEST: &str =
        r#"{"id":"com.x.a","name":"A","version":"1.0.0","description":"","capabilities":[]}"#;

    fn component(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    fn code(bytes: Vec<u8>) -> Code {
        match Package::read(bytes) {
            Err(Error::Refused(problem)) => problem.code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_wrong_file_has_its_own_error() {
        assert_eq!(code(component("(module)")), Code::CoreModule);
        assert_eq!(code(b"\x7fELF....".to_vec()), Code::Precompiled);
        assert_eq!(code(vec![]), Code::MalformedComponent);
        assert_eq!(code(b"export function".to_vec()), Code::MalformedComponent);
        assert_eq!(code(vec![0; COMPONENT_BYTES_MAX + 1]), Code::ComponentTooLarge);
        let whole = component("(component (core module (func)))");
        for length in 0..whole.len() {
            if length != 8 {
                assert_eq!(code(whole[..length].to_vec()), Code::MalformedComponent, "cut at {length}");
            }
        }
    }

    #[test]
    fn the_manifest_is_on_the_component_or_in_one_inner_module() {
        let outer = Package::read(component("(component)")).unwrap().pack(MANIFEST).unwrap();
        assert_eq!(Package::read(outer.clone()).unwrap().manifest(None).unwrap().id, "com.x.a");
        assert_eq!(Package::read(outer.clone()).unwrap().pack(MANIFEST).unwrap(), outer);

        let text = MANIFEST.replace('"', "\\\"");
        let module = format!("(core module (@custom \"{MANIFEST_SECTION}\" \"{text}\"))");
        let inner = Package::read(component(&format!("(component {module})"))).unwrap();
        assert_eq!(inner.manifest(None).unwrap().id, "com.x.a");
        assert_eq!(code(component(&format!("(component {module} {module})"))), Code::ManifestInvalid);
    }

    #[test]
    fn custom_sections_are_not_compiled() {
        let plain = component("(component (core module (@custom \"inner\" \"stays\")))");
        let with = |program: &str| {
            let mut bytes = plain.clone();
            let data = program.as_bytes().into();
            CustomSection { name: PROGRAM_SECTION.into(), data }.append_to_component(&mut bytes);
            Package::read(bytes).unwrap().pack(MANIFEST).unwrap()
        };
        assert_eq!(Parts::of(&with("one")), Parts { code: plain.clone(), program: b"one".to_vec() });
        assert_eq!(Parts::of(&with("two")).code, plain);
        assert_eq!(Parts::of(&plain), Parts { code: plain.clone(), program: vec![] });
    }

    #[test]
    fn what_is_no_component_is_left_as_it_is() {
        let whole = component("(component (core module (func)))");
        for length in 0..whole.len() {
            assert_eq!(Parts::of(&whole[..length]).code, whole[..length], "cut at {length}");
        }
        let mut long = whole.clone();
        long.extend([0, 0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert_eq!(Parts::of(&long).code, long);
    }

    #[test]
    fn two_manifests_must_be_equal() {
        let packed = Package::read(component("(component)")).unwrap().pack(MANIFEST).unwrap();
        let package = Package::read(packed).unwrap();
        assert!(package.manifest(Some(&MANIFEST.replace(",", ", // same\n"))).is_ok());
        let differs = package.manifest(Some(&MANIFEST.replace("1.0.0", "1.0.1"))).unwrap_err();
        assert!(matches!(differs, Error::Refused(Problem { code: Code::ManifestDiffers, .. })));
        let missing = Package::read(component("(component)")).unwrap().manifest(None).unwrap_err();
        assert!(matches!(missing, Error::Refused(Problem { code: Code::ManifestMissing, .. })));
    }
}
