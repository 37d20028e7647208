//! What a JavaScript agent is made of: modules, and how they refer to each other.
//!
//! The same form carries sources into the compiler and machine-independent bytecode out of it. Every length is 32 bits,
//! little-endian; texts are UTF-8. The builder writes bundles; only the guest reads them, so a broken one harms the guest.

/// An agent, its modules in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The tool calls the manifest declares the capabilities for, such as `messages.list`.
    pub calls: Vec<String>,
    /// The modules. The first is the one that exports `handleIntent`.
    pub modules: Vec<Module>,
}

/// One module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// The path of its file, as it stands in errors.
    pub name: String,
    /// Its source text, or its bytecode.
    pub code: Vec<u8>,
    /// What its `import`s name, and the names of the modules they mean.
    pub imports: Vec<(String, String)>,
}

/// Begins every bundle. The digit changes with the form, and with the engine's bytecode.
const MAGIC: &[u8] = b"countersign-js 1\n";

impl Bundle {
    /// The bundle as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        number(&mut out, self.calls.len());
        self.calls.iter().for_each(|call| bytes(&mut out, call.as_bytes()));
        number(&mut out, self.modules.len());
        for Module { name, code, imports } in &self.modules {
            bytes(&mut out, name.as_bytes());
            bytes(&mut out, code);
            number(&mut out, imports.len());
            for (specifier, name) in imports {
                bytes(&mut out, specifier.as_bytes());
                bytes(&mut out, name.as_bytes());
            }
        }
        out
    }

    /// Reads a bundle; none where the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Option<Bundle> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let rest = &mut rest;
        let bundle = Bundle {
            calls: list(rest, text)?,
            modules: list(rest, |rest| {
                let (name, code) = (text(rest)?, take(rest)?.to_vec());
                Some(Module { name, code, imports: list(rest, |rest| Some((text(rest)?, text(rest)?)))? })
            })?,
        };
        rest.is_empty().then_some(bundle)
    }
}

fn number(out: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).expect("a bundle is far smaller than 4 GiB");
    out.extend(number.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len());
    out.extend(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk()?;
    let (taken, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = tail;
    Some(taken)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(take(rest)?.to_vec()).ok()
}

fn list<T>(rest: &mut &[u8], mut one: impl FnMut(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let (length, tail) = rest.split_first_chunk()?;
    *rest = tail;
    // Not reserved ahead: the count may be a lie.
    (0..u32::from_le_bytes(*length)).map(|_| one(rest)).collect()
}
