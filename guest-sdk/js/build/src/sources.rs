//! Gathers the modules of an agent: reads its files, erases their types, and settles what each `import` means.
//!
//! The files are the author's, but `build` may run on code somebody else wrote: how many are read and how long they are
//! is bounded, and what of them is shown cannot act on a terminal.

use crate::bundle::Module;
use crate::typescript;
use oxc_allocator::Allocator;
use oxc_ast::ast::*;
use oxc_ast_visit::{Visit, walk};
use oxc_parser::{ParseOptions, Parser, ParserReturn};
use oxc_resolver::{ResolveError, ResolveOptions, Resolver};
use oxc_span::{SourceType, Span};
use oxc_syntax::module_record::{ExportExportName, ExportImportName, ImportImportName, ModuleRecord};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

/// How many modules an agent may have.
pub const MODULES_MAX: usize = 2_000;
/// How many bytes of source an agent may have, all modules together.
pub const SOURCE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How many errors of one file are told.
const ERRORS_MAX: usize = 10;
/// How many characters of a line are shown: bundled code has very long ones.
const LINE_CHARS_MAX: usize = 100;
/// How many characters of an import's specifier are shown.
const SPECIFIER_CHARS_MAX: usize = 120;

/// What agents have instead of what an import asked for.
const NO_BUILTINS: &str =
    "is a part of Node, which agents do not run in: agents have no files and no network; use tools";
/// What to do about code that only a bundler can turn into modules.
const BUNDLE_FIRST: &str = "bundle first, e.g. `esbuild agent.js --bundle --format=esm --outfile=bundled.js`";

/// Why an agent cannot be built from these files.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What is wrong and where, for people. Nothing in it acts on a terminal.
    pub message: String,
}

impl Problem {
    /// A problem with one line to it.
    fn new(message: &str) -> Problem {
        Problem { message: printable(message) }
    }
}

/// The modules an agent is made of. The first is `entry`; the others follow depth first, in the order of their imports.
///
/// # Errors
///
/// A file that cannot be read, is too much, is no module, does not parse, or imports what cannot be found.
pub fn gather(entry: &Path) -> Result<Vec<Module>, Problem> {
    let (modules, handles) = collect(entry)?;
    match handles {
        true => Ok(modules),
        false => {
            Err(Problem::new(&format!("{}: an agent exports a function `handleIntent`", modules[0].name)))
        }
    }
}

/// The modules, and whether the first may have a handler.
fn collect(entry: &Path) -> Result<(Vec<Module>, bool), Problem> {
    let unreadable = |error| Problem::new(&format!("cannot read {}: {error}", entry.display()));
    // The folder first: an entry that is a link must not choose it.
    let folder = entry.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut gathering = Gathering::new(&folder.canonicalize().map_err(unreadable)?);
    let entry = entry.canonicalize().map_err(unreadable)?;
    if !entry.starts_with(&gathering.root) || Kind::of(&entry) == Ok(Kind::Json) {
        return Err(Problem::new(
            "the agent's first module is a file of its own folder, in JavaScript or TypeScript",
        ));
    }
    let (mut modules, mut seen, mut waiting) = (Vec::new(), HashSet::new(), vec![entry]);
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        if modules.len() == MODULES_MAX {
            return Err(Problem::new(&format!(
                "the agent has more than {MODULES_MAX} modules, the most it may have: {BUNDLE_FIRST}"
            )));
        }
        let (module, imported) = gathering.module(&path)?;
        modules.push(module);
        waiting.extend(imported.into_iter().rev());
    }
    gathering.names(&modules)?;
    let entry = modules.first().and_then(|entry| gathering.surfaces.get(&entry.name));
    let handles = entry.is_some_and(|surface| {
        surface.open || ["handleIntent", "default"].iter().any(|name| surface.exports.contains(*name))
    });
    Ok((modules, handles))
}

/// What a module exports and takes from others, by name. Types are no part of it.
#[derive(Default)]
struct Surface {
    source: String,
    exports: HashSet<String>,
    /// Whether it exports what another module does, whatever that is.
    open: bool,
    /// The specifier, the name, and where it stands.
    taken: Vec<(String, String, usize)>,
}

impl Surface {
    fn of(source: &str, record: &ModuleRecord) -> Surface {
        let (mut exports, mut taken) = (HashSet::new(), Vec::new());
        for entry in record.local_export_entries.iter().chain(&record.indirect_export_entries) {
            match &entry.export_name {
                _ if entry.is_type => continue,
                ExportExportName::Name(name) => exports.insert(name.name.to_string()),
                ExportExportName::Default(_) => exports.insert("default".into()),
                ExportExportName::Null => false,
            };
            if let (Some(from), ExportImportName::Name(name)) = (&entry.module_request, &entry.import_name) {
                taken.push((from.name.to_string(), name.name.to_string(), name.span.start as usize));
            }
        }
        for entry in record.import_entries.iter().filter(|entry| !entry.is_type) {
            let (name, span) = match &entry.import_name {
                ImportImportName::Name(name) => (name.name.to_string(), name.span),
                ImportImportName::Default(span) => ("default".into(), *span),
                ImportImportName::NamespaceObject => continue,
            };
            taken.push((entry.module_request.name.to_string(), name, span.start as usize));
        }
        Surface { source: source.to_owned(), exports, open: !record.star_export_entries.is_empty(), taken }
    }
}

struct Gathering {
    /// What names are relative to.
    root: PathBuf,
    /// Resolves what the author wrote, TypeScript first.
    own: Resolver,
    /// Resolves packages and what is inside of them: their JavaScript first, which is what they were published as.
    packages: Resolver,
    /// Knows the names of what comes with Node.
    builtins: Resolver,
    /// How many bytes may still be read.
    bytes_left: usize,
    /// By name of the module.
    surfaces: HashMap<String, Surface>,
}

impl Gathering {
    fn new(folder: &Path) -> Gathering {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let options = ResolveOptions {
            condition_names: texts(&["countersign", "browser", "import", "module", "default"]),
            main_fields: texts(&["module", "main"]),
            extensions: texts(&[".js", ".mjs", ".json", ".ts", ".mts"]),
            // TypeScript has its authors import `x.ts` by the name it will be compiled to.
            extension_alias: vec![
                (".js".into(), texts(&[".js", ".ts"])),
                (".mjs".into(), texts(&[".mjs", ".mts"])),
            ],
            // What is built must not depend on the environment.
            node_path: false,
            ..ResolveOptions::default()
        };
        let packages = Resolver::new(options.clone());
        let own = packages.clone_with_options(ResolveOptions {
            extensions: texts(&[".ts", ".mts", ".js", ".mjs", ".json"]),
            ..options.clone()
        });
        let builtins = packages.clone_with_options(ResolveOptions { builtin_modules: true, ..options });
        let root = folder.ancestors().find(|folder| folder.join("agent.json").is_file());
        let root = root.unwrap_or(folder).to_owned();
        Gathering { root, own, packages, builtins, bytes_left: SOURCE_BYTES_MAX, surfaces: HashMap::new() }
    }

    /// Reads one module, and says which files it imports.
    fn module(&mut self, path: &Path) -> Result<(Module, Vec<PathBuf>), Problem> {
        let name = self.name(path)?;
        // The agent may be somebody else's, and its author is not to have whatever the one who builds it can read.
        if !path.starts_with(&self.root) && !self.is_in_package(path) {
            return Err(Problem::new(&format!(
                "{name}: this file lies outside of the folder of agent.json, and only packages in node_modules may"
            )));
        }
        let kind = Kind::of(path).map_err(|sentence| Problem::new(&format!("{name}: {sentence}")))?;
        let source = self.read(path, &name)?;
        let source_type = match kind {
            Kind::Json => return Ok((json(name, &source)?, Vec::new())),
            Kind::JavaScript => SourceType::mjs(),
            Kind::TypeScript => SourceType::ts().with_module(true),
        };
        let allocator = Allocator::default();
        let options = ParseOptions { parse_regular_expression: true, ..ParseOptions::default() };
        let parsed = Parser::new(&allocator, &source, source_type).with_options(options).parse();
        // Looked for first: as a module, such a file may not even parse.
        if path.extension().is_some_and(|extension| extension == "js")
            && is_common_js(&source, &parsed)
            && !is_in_module_package(path)
        {
            let message =
                format!("{name}: this is CommonJS, and agents are made of ES modules: {BUNDLE_FIRST}");
            return Err(Problem::new(&message));
        }
        let errors = || parsed.diagnostics.errors();
        tell(
            &name,
            &source,
            errors().map(|error| {
                let offset = error.labels.first().map_or(0, |label| label.offset() as usize);
                let help = error.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
                (offset, format!("{}{help}", error.message))
            }),
        )?;
        let code = typescript::erase(&source, &parsed.program).or_else(|unsupported| {
            let told = unsupported.iter().map(|it| (it.offset, it.sentence.to_owned()));
            tell(&name, &source, told).map(|()| String::new())
        })?;

        let mut specifiers = Specifiers::default();
        specifiers.visit_program(&parsed.program);
        let (mut imports, mut imported, mut unresolved) = (Vec::new(), Vec::new(), Vec::new());
        for (specifier, span) in specifiers.found {
            match self.resolve(path, specifier) {
                Ok(path) => {
                    imports.push((specifier.to_owned(), self.name(&path)?));
                    imported.push(path);
                }
                Err(sentence) => {
                    unresolved.push((span.start as usize, format!("`{}` {sentence}", clip(specifier))));
                }
            }
        }
        tell(&name, &source, unresolved.into_iter())?;
        self.surfaces.insert(name.clone(), Surface::of(&source, &parsed.module_record));
        Ok((Module { name, code: code.into_bytes(), imports }, imported))
    }

    /// Every name that is taken from another module is one it has.
    fn names(&self, modules: &[Module]) -> Result<(), Problem> {
        for module in modules {
            // JSON takes nothing.
            let Some(surface) = self.surfaces.get(&module.name) else { continue };
            let missing = surface.taken.iter().filter_map(|(specifier, name, offset)| {
                let (_, from) = module.imports.iter().find(|(known, _)| known == specifier)?;
                let known = match self.surfaces.get(from) {
                    Some(from) => from.open || from.exports.contains(name),
                    None => name == "default",
                };
                let sentence = || {
                    let (from, name) = (clip(from), clip(name));
                    format!("{from} exports no `{name}`; a type is imported with `import type`")
                };
                (!known).then(|| (*offset, sentence()))
            });
            tell(&module.name, &surface.source, missing)?;
        }
        Ok(())
    }

    /// Where a file is, seen from the root, so that the same sources make the same agent on every machine.
    fn name(&self, path: &Path) -> Result<String, Problem> {
        let common = self.root.components().zip(path.components()).take_while(|(a, b)| a == b).count();
        let up = self.root.components().skip(common).map(|_| "..");
        let down = path.components().skip(common).map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        });
        let name: Option<Vec<&str>> = up.map(Some).chain(down).collect();
        name.map(|parts| parts.join("/"))
            .ok_or_else(|| Problem::new(&format!("{}: the name of this file is not UTF-8", path.display())))
    }

    /// Whether a file belongs to a package. Where the project itself lies does not matter.
    fn is_in_package(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.components().any(|part| part.as_os_str() == "node_modules")
    }

    fn read(&mut self, path: &Path, name: &str) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        // Not by its length beforehand: the file may grow, or have none.
        File::open(path)
            .and_then(|file| file.take(self.bytes_left as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| Problem::new(&format!("cannot read {name}: {error}")))?;
        self.bytes_left = self.bytes_left.checked_sub(bytes.len()).ok_or_else(|| {
            let message = format!(
                "{name}: with this file the agent has more than {SOURCE_BYTES_MAX} bytes of source, the most it may have"
            );
            Problem::new(&message)
        })?;
        let text = String::from_utf8(bytes);
        let text = text.map_err(|_| Problem::new(&format!("{name}: the file is not UTF-8")))?;
        Ok(match text.strip_prefix('\u{feff}') {
            Some(text) => text.to_owned(),
            None => text,
        })
    }

    /// The file an import means, or what to tell about it.
    fn resolve(&self, importer: &Path, specifier: &str) -> Result<PathBuf, String> {
        if let Some((scheme, _)) = specifier.split_once(':')
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        {
            return Err(match scheme {
                "node" => NO_BUILTINS.into(),
                "http" | "https" => "would be fetched, and nothing is fetched to build an agent: \
                    save the module beside this file, or install its package"
                    .into(),
                _ => "is neither a file nor a package, and agents import nothing else".into(),
            });
        }
        if specifier.starts_with('/') {
            return Err(
                "is an absolute path, which is another on every machine: import it relative to this file"
                    .into(),
            );
        }
        let relative = ["./", "../"].iter().any(|start| specifier.starts_with(start))
            || [".", ".."].contains(&specifier);
        let resolver = if relative && !self.is_in_package(importer) { &self.own } else { &self.packages };
        let folder = importer.parent().unwrap_or(importer);
        let error = match resolver.resolve(folder, specifier) {
            Ok(found) if found.query().is_some() || found.fragment().is_some() => {
                return Err("has a query or a fragment, which files do not have".into());
            }
            Ok(found) => {
                let path = found.into_path_buf();
                // A path that is written out leads to files of the agent, and inside of a package to files of packages.
                if relative && !self.is_in_package(importer) && !path.starts_with(&self.root) {
                    return Err(
                        "lies outside of the folder of agent.json: put it below, or make it a package".into(),
                    );
                }
                return Ok(path);
            }
            Err(error) => error,
        };
        if let Err(ResolveError::Builtin { .. }) = self.builtins.resolve(folder, specifier) {
            return Err(NO_BUILTINS.into());
        }
        if specifier == "@countersign/sdk" {
            return Err("has types and nothing else: write `import type`".into());
        }
        Err(match error {
            ResolveError::NotFound(_) | ResolveError::ExtensionAlias(..) if relative => {
                "cannot be found: there is no such file".into()
            }
            ResolveError::NotFound(_) | ResolveError::ExtensionAlias(..) => {
                "cannot be found: no `node_modules` above this file has it; \
                install the package, or write `./` before the path of a file"
                    .into()
            }
            error => format!("cannot be found: {error}"),
        })
    }
}

/// What a file is, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    JavaScript,
    TypeScript,
    Json,
}

impl Kind {
    /// The kind of a file, or what to tell about it.
    fn of(path: &Path) -> Result<Kind, String> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if [".d.ts", ".d.mts", ".d.cts"].iter().any(|end| name.ends_with(end)) {
            return Err("this file has nothing but types: write `import type`".into());
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("js" | "mjs") => Ok(Kind::JavaScript),
            Some("ts" | "mts") => Ok(Kind::TypeScript),
            Some("json") => Ok(Kind::Json),
            Some("cjs" | "cts") => {
                Err(format!("this is CommonJS, and agents are made of ES modules: {BUNDLE_FIRST}"))
            }
            Some("jsx" | "tsx") => {
                Err(format!("JSX makes code, and only types can be erased: {BUNDLE_FIRST}"))
            }
            _ => Err("an agent is made of .js, .mjs, .ts, .mts and .json files".into()),
        }
    }
}

/// A JSON file as a module.
fn json(name: String, source: &str) -> Result<Module, Problem> {
    let value: serde_json::Value = serde_json::from_str(source).map_err(|error| {
        // It counts columns in bytes, and the place is at the end of what the message says.
        let line = source.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
        let start = line.as_ptr() as usize - source.as_ptr() as usize;
        let offset = source.floor_char_boundary(start + error.column().saturating_sub(1).min(line.len()));
        Problem { message: pointed(&name, source, offset, &format!("not JSON: {error}")) }
    })?;
    // JSON is JavaScript but for this key, which in JavaScript is no key.
    let code = match has_proto(&value) {
        true => format!("export default JSON.parse({});\n", serde_json::Value::from(source)),
        false => format!("export default {source};\n"),
    };
    Ok(Module { name, code: code.into_bytes(), imports: Vec::new() })
}

fn has_proto(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Array(values) => values.iter().any(has_proto),
        serde_json::Value::Object(map) => {
            map.iter().any(|(key, value)| key == "__proto__" || has_proto(value))
        }
        _ => false,
    }
}

/// Whether a file without any syntax of modules speaks of what only CommonJS has.
fn is_common_js(source: &str, parsed: &ParserReturn<'_>) -> bool {
    // Where the parser gave up there is nothing to ask it.
    let is_module = match parsed.panicked {
        true => source.lines().any(|line| line.starts_with("import ") || line.starts_with("export ")),
        false => parsed.module_record.has_module_syntax,
    };
    !is_module && ["module.exports", "exports.", "require("].iter().any(|text| source.contains(text))
}

/// Whether the nearest package.json says that its `.js` files are modules.
fn is_in_module_package(path: &Path) -> bool {
    let read = |folder: &Path| {
        let file = folder.join("package.json");
        // Not a device, which has no end.
        if !file.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        File::open(file).and_then(|file| file.take(SOURCE_BYTES_MAX as u64).read_to_end(&mut bytes)).ok()?;
        Some(bytes)
    };
    let nearest = path.ancestors().skip(1).find_map(read);
    let package = nearest.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    package.is_some_and(|package| package["type"] == "module")
}

/// What a module imports, each once, and where it says so first. Types are not imported.
#[derive(Default)]
struct Specifiers<'a> {
    found: Vec<(&'a str, Span)>,
    seen: HashSet<&'a str>,
}

impl<'a> Specifiers<'a> {
    fn add(&mut self, specifier: &'a str, span: Span) {
        if self.seen.insert(specifier) {
            self.found.push((specifier, span));
        }
    }
}

impl<'a> Visit<'a> for Specifiers<'a> {
    fn visit_import_declaration(&mut self, it: &ImportDeclaration<'a>) {
        if it.import_kind.is_value() {
            self.add(it.source.value.as_str(), it.source.span);
        }
    }

    fn visit_export_from_declaration(&mut self, it: &ExportFromDeclaration<'a>) {
        if it.export_kind.is_value() {
            self.add(it.source.value.as_str(), it.source.span);
        }
    }

    fn visit_export_all_declaration(&mut self, it: &ExportAllDeclaration<'a>) {
        if it.export_kind.is_value() {
            self.add(it.source.value.as_str(), it.source.span);
        }
    }

    fn visit_import_expression(&mut self, it: &ImportExpression<'a>) {
        // What is computed is not known before the agent runs.
        match &it.source {
            Expression::StringLiteral(text) => self.add(text.value.as_str(), text.span),
            Expression::TemplateLiteral(text) => {
                if let Some(whole) = text.single_quasi() {
                    self.add(whole.as_str(), text.span);
                }
            }
            _ => {}
        }
        walk::walk_import_expression(self, it);
    }

    // What stands in here is erased.
    fn visit_ts_external_module_declaration(&mut self, _: &TSExternalModuleDeclaration<'a>) {}
}

/// Fails with the first of `errors`, if there are any: where each is, in bytes, and what it is.
fn tell(name: &str, source: &str, mut errors: impl Iterator<Item = (usize, String)>) -> Result<(), Problem> {
    let told: Vec<String> = errors
        .by_ref()
        .take(ERRORS_MAX)
        .map(|(offset, sentence)| pointed(name, source, offset, &sentence))
        .collect();
    if told.is_empty() {
        return Ok(());
    }
    let more = match errors.count() {
        0 => String::new(),
        more => format!("\n\nand {more} more"),
    };
    Err(Problem { message: told.join("\n\n") + &more })
}

/// An error with its place, the line it is in, and a caret below.
fn pointed(name: &str, source: &str, offset: usize, sentence: &str) -> String {
    let offset = source.floor_char_boundary(offset);
    let start = source[..offset].rfind('\n').map_or(0, |at| at + 1);
    let line = source[..offset].matches('\n').count() + 1;
    let column = source[start..offset].chars().count();
    let skipped = column.saturating_sub(LINE_CHARS_MAX / 2);
    let text = source[start..].lines().next().unwrap_or_default();
    let text: String = text.chars().skip(skipped).take(LINE_CHARS_MAX).collect();
    let number = line.to_string();
    format!(
        "{}:{line}:{}: {}\n{number} | {}\n{:width$} | {:caret$}^",
        printable(name),
        column + 1,
        printable(sentence),
        printable(&text.replace('\t', " ")),
        "",
        "",
        width = number.len(),
        caret = column - skipped
    )
}

fn clip(specifier: &str) -> String {
    match specifier.char_indices().nth(SPECIFIER_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &specifier[..end]),
        None => specifier.to_owned(),
    }
}

/// `text`, one line of it, without what acts on a terminal or has it shown in another order. Every character stays one
/// character, so a caret stays where it points.
fn printable(text: &str) -> String {
    let acts = |c: char| match c {
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    };
    text.chars().map(|c| if acts(c) { '�' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    /// A folder with these files in it.
    fn files(files: &[(&str, &str)]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn gathered(folder: &TempDir, entry: &str) -> Vec<Module> {
        collect(&folder.path().join(entry)).unwrap().0
    }

    fn names(folder: &TempDir, entry: &str) -> Vec<String> {
        gathered(folder, entry).into_iter().map(|module| module.name).collect()
    }

    fn problem(folder: &TempDir, entry: &str) -> String {
        collect(&folder.path().join(entry)).unwrap_err().to_string()
    }

    /// What is said about an entry with this text and nothing beside it.
    fn alone(entry: &str, text: &str) -> String {
        problem(&files(&[(entry, text)]), entry)
    }

    #[test]
    fn modules_come_depth_first_in_the_order_of_their_imports() {
        let folder = files(&[
            ("agent.ts", "import b from './b.js'\nexport * from './a.js'\nconst c = import('./c')"),
            ("a.js", "import './deep/d.mjs'"),
            ("b.ts", "import './deep/d.mjs'; import './agent.ts'; let b: string; export default b"),
            ("c.mts", "export type { A } from './types'; import type { B } from './types'"),
            ("deep/d.mjs", "export {} from '../c'"),
        ]);
        let modules = gathered(&folder, "agent.ts");
        let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["agent.ts", "b.ts", "deep/d.mjs", "c.mts", "a.js"]);
        let imports = |of: usize| -> Vec<(&str, &str)> {
            modules[of].imports.iter().map(|(specifier, name)| (&specifier[..], &name[..])).collect()
        };
        assert_eq!(imports(0), [("./b.js", "b.ts"), ("./a.js", "a.js"), ("./c", "c.mts")]);
        assert_eq!(imports(1), [("./deep/d.mjs", "deep/d.mjs"), ("./agent.ts", "agent.ts")]);
        assert_eq!(imports(3), []);
        assert!(str::from_utf8(&modules[1].code).unwrap().ends_with("let b        ; export default b"));
    }

    #[test]
    fn names_are_relative_to_the_folder_of_the_manifest() {
        let folder = files(&[
            ("work/agent/agent.json", "{}"),
            ("work/agent/src/main.ts", "import './x'; import '../lib/y.js'; import 'z'"),
            ("work/agent/src/x/index.ts", ""),
            ("work/agent/lib/y.js", ""),
            ("work/node_modules/z/package.json", r#"{"type": "module", "exports": "./z.js"}"#),
            ("work/node_modules/z/z.js", ""),
        ]);
        let expected = ["src/main.ts", "src/x/index.ts", "lib/y.js", "../node_modules/z/z.js"];
        assert_eq!(names(&folder, "work/agent/src/main.ts"), expected);
    }

    #[test]
    fn nothing_outside_the_folder_of_the_manifest_is_taken_but_packages() {
        let folder = files(&[
            ("work/agent/agent.json", "{}"),
            ("work/agent/agent.js", "import secret from '../secret.json'"),
            ("work/secret.json", "{}"),
        ]);
        let told = problem(&folder, "work/agent/agent.js");
        assert!(told.contains("../secret.json") && told.contains("outside"), "{told}");
    }

    #[test]
    fn relative_imports_mean_what_they_mean_in_node_and_in_typescript() {
        let folder = files(&[
            (
                "agent.ts",
                "import './a'; import './b'; import './c.js'; import './d.js'; import './e.mjs'; import './f'",
            ),
            ("a.ts", ""),
            ("a.js", ""),
            ("b.js", ""),
            ("b/index.ts", ""),
            ("c.ts", ""),
            ("c.js", ""),
            ("d.ts", ""),
            ("e.mts", ""),
            ("f/index.js", ""),
        ]);
        assert_eq!(
            names(&folder, "agent.ts"),
            ["agent.ts", "a.ts", "b.js", "c.js", "d.ts", "e.mts", "f/index.js"]
        );
    }

    #[test]
    fn packages_say_what_they_export() {
        let folder = files(&[
            (
                "agent.js",
                "import 'a'; import 'b/sub'; import 'c'; import '@s/d'; import '#own'; import 'events'",
            ),
            ("package.json", r##"{"imports": {"#own": "./own.js"}}"##),
            ("own.js", ""),
            ("node_modules/a/package.json", r#"{"exports": {"require": "./a.cjs", "import": "./a.mjs"}}"#),
            ("node_modules/a/a.mjs", "import './inner'"),
            ("node_modules/a/inner.js", ""),
            ("node_modules/a/inner.ts", ""),
            (
                "node_modules/b/package.json",
                r#"{"exports": {"./sub": {"countersign": "./ours.js", "default": "./b.js"}}}"#,
            ),
            ("node_modules/b/ours.js", ""),
            ("node_modules/c/package.json", r#"{"main": "./c.cjs", "module": "./c.js"}"#),
            ("node_modules/c/c.js", ""),
            ("node_modules/@s/d/package.json", r#"{"main": "lib"}"#),
            ("node_modules/@s/d/lib/index.js", "export {}"),
            ("node_modules/events/package.json", r#"{"main": "events.js"}"#),
            ("node_modules/events/events.js", "export {}"),
        ]);
        let names = names(&folder, "agent.js");
        let expected = ["a/a.mjs", "a/inner.js", "b/ours.js", "c/c.js", "@s/d/lib/index.js"];
        assert_eq!(names[0], "agent.js");
        assert_eq!(names[1..6], expected.map(|name| format!("node_modules/{name}")));
        assert_eq!(names[6..], ["own.js", "node_modules/events/events.js"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_to_the_file_they_mean() {
        let folder = files(&[("agent.js", "import './a.js'; import './b.js'"), ("a.js", "")]);
        std::os::unix::fs::symlink("a.js", folder.path().join("b.js")).unwrap();
        let modules = gathered(&folder, "agent.js");
        assert_eq!(modules.len(), 2);
        assert_eq!(modules[0].imports[1], ("./b.js".into(), "a.js".into()));
    }

    #[test]
    fn json_becomes_a_module() {
        let code = |text: &str| {
            let folder = files(&[("agent.js", "import './x.json'"), ("x.json", text)]);
            collect(&folder.path().join("agent.js"))
                .map(|(modules, _)| String::from_utf8(modules[1].code.clone()).unwrap())
                .map_err(|problem| problem.message)
        };
        assert_eq!(code("{\"a\": [1]}").unwrap(), "export default {\"a\": [1]};\n");
        assert_eq!(code("\u{feff}null").unwrap(), "export default null;\n");
        let expected = "export default JSON.parse(\"[{\\\"__proto__\\\": 1}]\");\n";
        assert_eq!(code("[{\"__proto__\": 1}]").unwrap(), expected);
        assert!(code("[{\"\\u005f_proto__\": 1}]").unwrap().contains("JSON.parse"));
        assert_eq!(
            code("{\n  \"a\": é,\n}").unwrap_err(),
            "x.json:2:8: not JSON: expected value at line 2 column 8\n2 |   \"a\": é,\n  |        ^"
        );
        assert!(code("1; evil()").unwrap_err().contains("trailing characters"));
    }

    #[test]
    fn an_error_says_where_it_is_and_shows_the_line() {
        let text = "let ok = 1;\r\n\tlet é = 1 +;\r\n";
        assert_eq!(
            alone("agent.js", text),
            "agent.js:2:13: Unexpected token\n2 |  let é = 1 +;\n  |             ^"
        );
        let told = alone("agent.ts", "let a: T;\n  enum B {}");
        assert!(told.starts_with("agent.ts:2:3: an `enum` makes code"), "{told}");
        assert!(
            told.ends_with("`const Name = { A: 0 } as const` instead\n2 |   enum B {}\n  |   ^"),
            "{told}"
        );
        assert!(alone("agent.js", "let a: T").starts_with("agent.js:1:6: "));
        assert!(alone("agent.js", "@d class A {}").contains("no decorators"));
    }

    #[test]
    fn ten_errors_are_told_and_the_rest_counted() {
        let told = alone("agent.ts", &"enum A {}\n".repeat(12));
        assert_eq!(told.matches("an `enum` makes code").count(), 10);
        assert!(told.contains("agent.ts:10:1: ") && told.ends_with("\n\nand 2 more"), "{told}");
        let told = alone("agent.ts", "import './a'\nimport './b'");
        assert!(told.contains("agent.ts:1:8: `./a`") && told.contains("agent.ts:2:8: `./b`"), "{told}");
    }

    #[test]
    fn hostile_text_is_shown_harmless() {
        let told = alone("agent.ts", "enum A { /* \u{1b}[2J \u{202e} \u{7} */ }");
        assert!(told.contains("enum A { /* �[2J � � */ }"), "{told:?}");
        let told = alone("agent.js", "import '\\x1b[2J\\n\\u202e'");
        assert!(told.contains("`�[2J��` cannot be found"), "{told:?}");
        let told = alone("agent.js", &format!("import 'data:{}'", "x".repeat(100_000)));
        assert!(told.len() < 1_000, "{told}");
        let told = alone("agent.ts", &format!("{}enum A {{}}{}", " ".repeat(100_000), " ".repeat(100_000)));
        assert!(told.starts_with("agent.ts:1:100001: ") && told.len() < 1_000, "{told}");
        let caret = told.lines().last().unwrap();
        assert_eq!(caret.find('^'), told.lines().nth(1).unwrap().find("enum"));
    }

    #[test]
    fn what_is_not_found_is_told_with_its_importer() {
        let folder =
            files(&[("agent.ts", "import './lib/a'"), ("lib/a.ts", "\n import x from './missing.js'")]);
        assert_eq!(
            problem(&folder, "agent.ts"),
            "lib/a.ts:2:16: `./missing.js` cannot be found: there is no such file\n\
             2 |  import x from './missing.js'\n  |                ^"
        );
        for specifier in ["left-pad", "left-pad/x.js", "@a/b", ""] {
            let told = alone("agent.js", &format!("import '{specifier}'"));
            assert!(told.contains(&format!("`{specifier}` cannot be found")), "{told}");
        }
        assert!(alone("agent.js", "import 'left-pad/x.js'").contains("install the package"));
        assert!(alone("agent.ts", "import { Card } from '@countersign/sdk'").contains("write `import type`"));
        assert!(problem(&folder, "nothing.ts").starts_with("cannot read "));
    }

    #[test]
    fn nothing_is_imported_from_node_or_from_the_network() {
        for specifier in ["node:fs", "node:test", "fs", "fs/promises", "path"] {
            let told = alone("agent.js", &format!("const x = await import('{specifier}')"));
            assert!(told.contains(&format!("agent.js:1:24: `{specifier}` is a part of Node")), "{told}");
            assert!(told.contains("agents have no files and no network; use tools"), "{told}");
        }
        for specifier in ["https://esm.sh/x", "http://x/y.js"] {
            assert!(alone("agent.js", &format!("import '{specifier}'")).contains("nothing is fetched"));
        }
        for specifier in ["data:text/javascript,1", "file:///etc/x.js", "npm:x", "jsr:@a/b"] {
            assert!(
                alone("agent.js", &format!("import '{specifier}'")).contains("neither a file nor a package")
            );
        }
        assert!(alone("agent.js", "import '/etc/x.js'").contains("absolute path"));
        let folder = files(&[("agent.js", "import './a.js?raw'"), ("a.js", "")]);
        assert!(problem(&folder, "agent.js").contains("a query or a fragment"));
    }

    #[test]
    fn common_js_is_refused_with_the_cure() {
        let package = |manifest: &str, text: &str| {
            let folder = files(&[
                ("agent.js", "import 'p'"),
                ("package.json", r#"{"type": "module"}"#),
                ("node_modules/p/package.json", manifest),
                ("node_modules/p/index.js", text),
            ]);
            collect(&folder.path().join("agent.js")).map(|_| ()).map_err(|problem| problem.message)
        };
        for text in [
            "module.exports = 1",
            "exports.a = 1",
            "const a = require('a')",
            // This is no module at all.
            "with (a) { module.exports = 010 }",
            "return require('a')",
        ] {
            let told = package("{}", text).unwrap_err();
            assert!(told.starts_with("node_modules/p/index.js: this is CommonJS"), "{told}");
            assert!(told.contains("esbuild agent.js --bundle --format=esm --outfile=bundled.js"), "{told}");
        }
        assert!(package("{}", "globalThis.a = 1").is_ok());
        assert!(package("{}", "export default module.exports").is_ok());
        assert!(package(r#"{"type": "module"}"#, "module.exports = 1").is_ok());
        let told = package("{}", "import 'a'\nlet let = require('a') +").unwrap_err();
        assert!(told.starts_with("node_modules/p/index.js:2:"), "{told}");
        for entry in ["agent.cjs", "agent.cts"] {
            assert!(alone(entry, "").contains("this is CommonJS"));
        }
    }

    #[test]
    fn other_files_are_refused() {
        for entry in ["agent.jsx", "agent.tsx"] {
            assert!(alone(entry, "").contains("JSX makes code"));
        }
        for entry in ["agent.d.ts", "agent.d.mts"] {
            assert!(alone(entry, "").contains("write `import type`"));
        }
        for entry in ["agent", "agent.css", "agent.wasm"] {
            assert!(alone(entry, "").contains("made of .js, .mjs, .ts, .mts and .json files"));
        }
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("agent.js"), b"\xff").unwrap();
        assert_eq!(problem(&folder, "agent.js"), "agent.js: the file is not UTF-8");
    }

    #[test]
    fn an_agent_has_two_thousand_modules_at_most() {
        let folder = TempDir::new().unwrap();
        let import = |number: usize| format!("import './m{number}.js';");
        for number in 1..=MODULES_MAX {
            fs::write(folder.path().join(format!("m{number}.js")), "").unwrap();
        }
        let entry = folder.path().join("agent.js");
        fs::write(&entry, (1..MODULES_MAX).map(import).collect::<String>()).unwrap();
        assert_eq!(collect(&entry).unwrap().0.len(), MODULES_MAX);
        fs::write(&entry, (1..=MODULES_MAX).map(import).collect::<String>()).unwrap();
        assert!(collect(&entry).unwrap_err().message.contains("more than 2000 modules"));
    }

    #[test]
    fn an_agent_has_eight_mebibytes_of_source_at_most() {
        let import = "import './a.json'";
        let rest = SOURCE_BYTES_MAX - import.len();
        let with = |spaces: usize| {
            let folder = files(&[("agent.js", import), ("a.json", &("1".to_owned() + &" ".repeat(spaces)))]);
            collect(&folder.path().join("agent.js")).map(|(modules, _)| modules.len())
        };
        assert_eq!(with(rest - 1).unwrap(), 2);
        let told = with(rest).unwrap_err().message;
        assert!(told.starts_with("a.json: with this file the agent has more than 8388608 bytes"), "{told}");
    }

    #[test]
    fn names_that_are_not_there_are_told_before_anything_runs() {
        let of = |text: &str| {
            let folder = files(&[
                ("agent.ts", text),
                ("b.ts", "export const v = 1; export interface Deep {} export default 2;"),
                ("c.js", "export * from './b.ts'; export * as all from './b.ts';"),
                ("d.json", "{}"),
            ]);
            gather(&folder.path().join("agent.ts")).map(drop).map_err(|problem| problem.to_string())
        };
        let handler = "export function handleIntent() {}";
        for imports in [
            "import b, { v } from './b';",
            "import type { Deep } from './b';",
            "import { type Deep, v as w } from './b';",
            "import * as all from './b';",
            "import { all, anything } from './c.js';",
            "import d from './d.json';",
            "export { v } from './b';",
        ] {
            assert_eq!(of(&format!("{imports} {handler}")), Ok(()), "{imports}");
        }
        for (imports, told) in [
            ("import { nope } from './b';", "agent.ts:1:10: b.ts exports no `nope`"),
            ("import { Deep } from './b';", "agent.ts:1:10: b.ts exports no `Deep`"),
            ("export { nope } from './b';", "agent.ts:1:10: b.ts exports no `nope`"),
            ("import { x } from './d.json';", "agent.ts:1:10: d.json exports no `x`"),
        ] {
            let problem = of(&format!("{imports} {handler}")).unwrap_err();
            assert!(problem.starts_with(told), "{problem}");
        }
        assert!(of("export const v = 1").unwrap_err().contains("exports a function `handleIntent`"));
    }
}
