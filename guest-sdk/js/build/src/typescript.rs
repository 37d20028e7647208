//! Erases TypeScript's types: what is left is JavaScript.
//!
//! Types are overwritten with spaces, so every line and column of what remains is where its author wrote it, and errors
//! need no source map. What makes code, such as an `enum`, cannot be erased and is refused.

use oxc_ast::ast::*;
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan, Span};
use oxc_syntax::precedence::{GetPrecedence, Precedence};
use std::collections::HashMap;

/// Something that cannot be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Where it begins, in bytes.
    pub offset: usize,
    /// What it is and what to write instead, for people.
    pub sentence: &'static str,
}

const ENUM: &str = "an `enum` makes code, and only types can be erased: \
    write `const Name = { A: 0 } as const` instead";
const NAMESPACE: &str = "a `namespace` with values makes code, and only types can be erased: \
    move what it holds to a module of its own";
const PARAMETER_PROPERTY: &str = "a parameter property makes code, and only types can be erased: \
    declare the field in the class and assign it in the constructor";
const IMPORT_EQUALS: &str = "`import name = …` makes code, and only types can be erased: \
    write `import name from \"module\"`, or `const name = …`";
const EXPORT_EQUALS: &str = "`export =` is CommonJS: write `export default`";
const DECORATOR: &str =
    "the engine has no decorators: call the function instead, as in `Thing = decorate(Thing)`";
const JSX: &str = "JSX makes code, and only types can be erased: \
    bundle first, e.g. `esbuild agent.tsx --bundle --format=esm --outfile=bundled.js`";
const BROKEN_LINE: &str = "without its type, what stands here would be cut off by the line break: \
    write `value as Type` instead of `<Type>value`";
const OPEN_BRACE: &str = "without its type, what stands here would read as a statement: \
    write `({ … } as Type)` instead of `<Type>{ … }`";
const REGROUPED: &str = "without its type, what stands here would be grouped otherwise: \
    put parentheses around the expression and its `as Type`";

/// `source` with its types erased. `program` is what the parser, told to keep parentheses, made of it.
///
/// # Errors
///
/// Everything that cannot be erased, in the order of the source.
pub fn erase(source: &str, program: &Program<'_>) -> Result<String, Vec<Unsupported>> {
    let mut eraser =
        Eraser { source, marks: vec![KEPT; source.len()], heads: HashMap::new(), unsupported: Vec::new() };
    eraser.visit_program(program);
    if !eraser.unsupported.is_empty() {
        eraser.unsupported.sort_by_key(|unsupported| unsupported.offset);
        return Err(eraser.unsupported);
    }
    let mut out = String::with_capacity(source.len());
    for (at, c) in source.char_indices() {
        match eraser.marks[at] {
            KEPT => out.push(c),
            BLANK if is_line_break(c) => out.push(c),
            // Engines and editors count columns in UTF-16.
            mark => {
                out.push(char::from(mark));
                out.extend(std::iter::repeat_n(' ', c.len_utf16() - 1));
            }
        }
    }
    Ok(out)
}

/// Stays as it is.
const KEPT: u8 = 0;
/// Becomes a space. Any other mark is the character to put there.
const BLANK: u8 = b' ';
/// The modifiers of class members that JavaScript does not have.
const MODIFIERS: [&str; 7] =
    ["abstract", "declare", "override", "private", "protected", "public", "readonly"];

/// Walks a program and notes what becomes of each byte. The parser's tree says where types are; the marks and keywords it
/// gives no place are looked for in the text between two nodes, where there is nothing else but blanks and comments.
struct Eraser<'s> {
    source: &'s str,
    /// By byte; what counts is a character's first.
    marks: Vec<u8>,
    /// Where expressions begin that cannot begin with everything.
    heads: HashMap<u32, Head>,
    unsupported: Vec<Unsupported>,
}

/// What an expression is the head of.
enum Head {
    /// What is returned, thrown or yielded: it begins on the line of the keyword.
    Operand,
    /// The body of an arrow function: it does not begin with a brace.
    Body,
    /// A statement: it begins neither with a brace nor as a declaration.
    Statement,
}

impl Eraser<'_> {
    fn refuse(&mut self, at: u32, sentence: &'static str) {
        self.unsupported.push(Unsupported { offset: at as usize, sentence });
    }

    fn blank(&mut self, start: u32, end: u32) {
        self.marks[start as usize..end as usize].fill(BLANK);
    }

    fn put(&mut self, at: u32, character: u8) {
        self.marks[at as usize] = character;
    }

    /// Leaves an empty statement. Without its semicolon the lines around it could be read as one, and an `if` before it
    /// would take the next statement.
    fn statement(&mut self, span: Span) {
        self.blank(span.start, span.end);
        self.put(span.start, b';');
    }

    fn rest(&self, at: u32) -> &str {
        &self.source[at as usize..]
    }

    /// Where the next token begins.
    fn next(&self, mut at: u32) -> u32 {
        loop {
            let rest = self.rest(at);
            let text = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            let comment = if text.starts_with("//") {
                text.find(is_line_break).unwrap_or(text.len())
            } else if text.starts_with("/*") {
                text.find("*/").map_or(text.len(), |end| end + 2)
            } else {
                return at + length(rest) - length(text);
            };
            at += length(rest) - length(text) + length(&text[..comment]);
        }
    }

    fn next_is(&self, at: u32, characters: &[char]) -> bool {
        self.rest(self.next(at)).starts_with(characters)
    }

    /// The word that begins here; empty where none does.
    fn word(&self, at: u32) -> &str {
        let rest = self.rest(at);
        &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len())]
    }

    /// Erases the `?` or `!` behind what ends here.
    fn mark_behind(&mut self, end: u32) {
        let at = self.next(end);
        if self.rest(at).starts_with(['?', '!']) {
            self.blank(at, at + 1);
        }
    }

    fn breaks(&self, start: u32, end: u32) -> bool {
        self.source[start as usize..end as usize].contains(is_line_break)
    }

    /// Erases an element of a list, and the comma behind it.
    fn element(&mut self, span: Span) {
        let comma = self.next(span.end);
        self.blank(span.start, span.end);
        if self.rest(comma).starts_with(',') {
            self.blank(comma, comma + 1);
        }
    }

    /// Erases ` as Type` up to `end`. A line that begins with `(`, `[` or a template cannot go on with a type, but could go
    /// on with the expression: the statement ended here.
    fn assertion_behind(&mut self, expression: &Expression<'_>, end: u32) {
        let start = self.next(expression.span().end);
        self.blank(start, end);
        // `a + b as T * c` is `(a + b) * c` to some, and an error to others; `a + b * c` it is to nobody.
        let (inner, outer) = (tightness(expression), operator(self.rest(self.next(end))));
        if inner < outer || inner == outer && outer.is_right_associative() {
            self.refuse(expression.span().start, REGROUPED);
        }
        if self.next_is(end, &['(', '[', '`']) {
            self.put(start, b';');
        }
    }

    /// Erases the modifiers of a class member, and the mark behind its key.
    fn member(&mut self, span: Span, key: &PropertyKey<'_>, computed: bool) {
        let key = key.span();
        let (mut at, mut kept) = (span.start, None);
        loop {
            at = self.next(at);
            let word = self.word(at);
            if at >= key.start || word.is_empty() {
                break;
            }
            let end = at + length(word);
            if MODIFIERS.contains(&word) {
                self.blank(at, end);
            } else {
                kept = kept.or(Some(at));
            }
            at = end;
        }
        // The member before, where it ends without a semicolon, could go on with these.
        let first = kept.unwrap_or(at);
        let goes_on =
            self.rest(first).starts_with(['[', '*']) || matches!(self.word(first), "in" | "instanceof");
        if first > span.start && goes_on {
            self.put(span.start, b';');
        }
        let end = if computed { self.next(key.end) + 1 } else { key.end };
        self.mark_behind(end);
    }

    /// A field called `get` would take the next member for its own, if nothing stood behind it any more.
    fn field(&mut self, key: &PropertyKey<'_>, value: Option<&Expression<'_>>) {
        let PropertyKey::StaticIdentifier(name) = key else { return };
        let takes = matches!(name.name.as_str(), "get" | "set" | "static" | "async" | "accessor");
        let behind = self.next(name.span.end);
        if takes && value.is_none() && self.marks.get(behind as usize) == Some(&BLANK) {
            self.put(behind, b';');
        }
    }

    fn operand(&mut self, expression: &Expression<'_>) {
        self.heads.insert(expression.span().start, Head::Operand);
    }
}

impl<'a> Visit<'a> for Eraser<'_> {
    fn visit_statement(&mut self, it: &Statement<'a>) {
        match is_type(it) {
            true => self.statement(it.span()),
            false => walk::walk_statement(self, it),
        }
    }

    fn visit_class_element(&mut self, it: &ClassElement<'a>) {
        use {AccessorPropertyType as A, MethodDefinitionType as M, PropertyDefinitionType as P};
        let is_type = match it {
            ClassElement::StaticBlock(_) => false,
            ClassElement::MethodDefinition(it) => {
                it.r#type == M::TSAbstractMethodDefinition || it.value.body.is_none()
            }
            ClassElement::PropertyDefinition(it) => {
                it.r#type == P::TSAbstractPropertyDefinition || it.declare
            }
            ClassElement::AccessorProperty(it) => it.r#type == A::TSAbstractAccessorProperty,
            ClassElement::TSIndexSignature(_) => true,
        };
        match is_type {
            true => self.statement(it.span()),
            false => walk::walk_class_element(self, it),
        }
    }

    // ---- Types, wherever they stand ------------------------------------------------------------------------------------

    fn visit_ts_type_annotation(&mut self, it: &TSTypeAnnotation<'a>) {
        self.blank(it.span.start, it.span.end);
    }

    fn visit_ts_type_parameter_declaration(&mut self, it: &TSTypeParameterDeclaration<'a>) {
        self.blank(it.span.start, it.span.end);
    }

    fn visit_ts_type_parameter_instantiation(&mut self, it: &TSTypeParameterInstantiation<'a>) {
        self.blank(it.span.start, it.span.end);
    }

    fn visit_ts_this_parameter(&mut self, it: &TSThisParameter<'a>) {
        self.element(it.span);
    }

    // ---- Expressions ---------------------------------------------------------------------------------------------------

    fn visit_ts_as_expression(&mut self, it: &TSAsExpression<'a>) {
        self.visit_expression(&it.expression);
        self.assertion_behind(&it.expression, it.span.end);
    }

    fn visit_ts_satisfies_expression(&mut self, it: &TSSatisfiesExpression<'a>) {
        self.visit_expression(&it.expression);
        self.assertion_behind(&it.expression, it.span.end);
    }

    fn visit_ts_non_null_expression(&mut self, it: &TSNonNullExpression<'a>) {
        self.visit_expression(&it.expression);
        self.blank(it.span.end - 1, it.span.end);
    }

    fn visit_ts_type_assertion(&mut self, it: &TSTypeAssertion<'a>) {
        let start = it.span.start;
        let mut value = &it.expression;
        while let Expression::TSTypeAssertion(inner) = value {
            value = &inner.expression;
        }
        let value = value.span().start;
        let brace = self.rest(value).starts_with('{');
        match self.heads.get(&start) {
            Some(Head::Operand) if self.breaks(start, value) => self.refuse(start, BROKEN_LINE),
            Some(Head::Body) if brace => self.refuse(start, OPEN_BRACE),
            Some(Head::Statement) if brace || matches!(self.word(value), "async" | "class" | "function") => {
                self.refuse(start, OPEN_BRACE);
            }
            _ => {}
        }
        let bracket = self.next(it.type_annotation.span().end);
        self.blank(start, bracket + 1);
        self.visit_expression(&it.expression);
    }

    fn visit_arrow_function_expression(&mut self, it: &ArrowFunctionExpression<'a>) {
        if let Some(body) = it.body.as_expression() {
            self.heads.insert(body.span().start, Head::Body);
        }
        walk::walk_arrow_function_expression(self, it);
        let parameters = it.params.span;
        // `return` and `async` need the parenthesis on their line, and so does `=>`.
        if let Some(types) = &it.type_parameters
            && self.breaks(types.span.start, parameters.start)
        {
            self.put(types.span.start, b'(');
            self.blank(parameters.start, parameters.start + 1);
        }
        if let Some(types) = &it.return_type
            && self.breaks(parameters.end, types.span.end)
        {
            let last = self.source[..types.span.end as usize].char_indices().next_back();
            self.put(last.map_or(types.span.start, |(at, _)| length(&self.source[..at])), b')');
            self.blank(parameters.end - 1, parameters.end);
        }
    }

    fn visit_expression_statement(&mut self, it: &ExpressionStatement<'a>) {
        self.heads.insert(it.span.start, Head::Statement);
        walk::walk_expression_statement(self, it);
    }

    fn visit_return_statement(&mut self, it: &ReturnStatement<'a>) {
        it.argument.iter().for_each(|value| self.operand(value));
        walk::walk_return_statement(self, it);
    }

    fn visit_throw_statement(&mut self, it: &ThrowStatement<'a>) {
        self.operand(&it.argument);
        walk::walk_throw_statement(self, it);
    }

    fn visit_yield_expression(&mut self, it: &YieldExpression<'a>) {
        it.argument.iter().for_each(|value| self.operand(value));
        walk::walk_yield_expression(self, it);
    }

    // ---- Declarations --------------------------------------------------------------------------------------------------

    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if it.definite {
            self.mark_behind(it.id.span().end);
        }
        walk::walk_variable_declarator(self, it);
    }

    fn visit_formal_parameter(&mut self, it: &FormalParameter<'a>) {
        if it.accessibility.is_some() || it.readonly || it.r#override {
            self.refuse(it.span.start, PARAMETER_PROPERTY);
        }
        if it.optional {
            self.mark_behind(it.pattern.span().end);
        }
        walk::walk_formal_parameter(self, it);
    }

    fn visit_class(&mut self, it: &Class<'a>) {
        if it.r#abstract && self.word(it.span.start) == "abstract" {
            self.blank(it.span.start, it.span.start + length("abstract"));
        }
        if let Some(last) = it.implements.last() {
            let head = it.heritage.as_ref().map(|heritage| {
                heritage.type_arguments.as_ref().map_or(heritage.expression.span(), |types| types.span).end
            });
            let head = head.or(it.type_parameters.as_ref().map(|types| types.span.end));
            let head = head.or(it.id.as_ref().map(|id| id.span.end));
            // Before the keyword stand `class`, or the end of what stands behind it.
            let mut at = self.next(head.unwrap_or(it.span.start));
            while matches!(self.word(at), "abstract" | "class") {
                at = self.next(at + length(self.word(at)));
            }
            self.blank(at, last.span.end);
        }
        it.decorators.iter().for_each(|decorator| self.visit_decorator(decorator));
        it.type_parameters.iter().for_each(|types| self.visit_ts_type_parameter_declaration(types));
        it.heritage.iter().for_each(|heritage| self.visit_class_heritage(heritage));
        self.visit_class_body(&it.body);
    }

    fn visit_method_definition(&mut self, it: &MethodDefinition<'a>) {
        self.member(it.span, &it.key, it.computed);
        walk::walk_method_definition(self, it);
    }

    fn visit_property_definition(&mut self, it: &PropertyDefinition<'a>) {
        self.member(it.span, &it.key, it.computed);
        walk::walk_property_definition(self, it);
        self.field(&it.key, it.value.as_ref());
    }

    fn visit_accessor_property(&mut self, it: &AccessorProperty<'a>) {
        self.member(it.span, &it.key, it.computed);
        walk::walk_accessor_property(self, it);
        self.field(&it.key, it.value.as_ref());
    }

    fn visit_import_specifier(&mut self, it: &ImportSpecifier<'a>) {
        if it.import_kind.is_type() {
            self.element(it.span);
        }
    }

    fn visit_export_specifier(&mut self, it: &ExportSpecifier<'a>) {
        if it.export_kind.is_type() {
            self.element(it.span);
        }
    }

    // ---- What makes code -----------------------------------------------------------------------------------------------

    fn visit_ts_enum_declaration(&mut self, it: &TSEnumDeclaration<'a>) {
        self.refuse(it.span.start, ENUM);
    }

    fn visit_ts_namespace_declaration(&mut self, it: &TSNamespaceDeclaration<'a>) {
        self.refuse(it.span.start, NAMESPACE);
    }

    fn visit_ts_import_equals_declaration(&mut self, it: &TSImportEqualsDeclaration<'a>) {
        self.refuse(it.span.start, IMPORT_EQUALS);
    }

    fn visit_ts_export_assignment(&mut self, it: &TSExportAssignment<'a>) {
        self.refuse(it.span.start, EXPORT_EQUALS);
    }

    fn visit_decorator(&mut self, it: &Decorator<'a>) {
        self.refuse(it.span.start, DECORATOR);
    }

    fn visit_jsx_element(&mut self, it: &JSXElement<'a>) {
        self.refuse(it.span.start, JSX);
    }

    fn visit_jsx_fragment(&mut self, it: &JSXFragment<'a>) {
        self.refuse(it.span.start, JSX);
    }
}

/// Whether nothing of a statement is left when its types are gone.
fn is_type(statement: &Statement<'_>) -> bool {
    if let Some(declaration) = statement.as_declaration() {
        return is_type_declaration(declaration);
    }
    let Some(declaration) = statement.as_module_declaration() else { return false };
    match declaration {
        ModuleDeclaration::ImportDeclaration(it) => it.import_kind.is_type(),
        ModuleDeclaration::ExportAllDeclaration(it) => it.export_kind.is_type(),
        ModuleDeclaration::ExportNamedDeclaration(it) => it.export_kind.is_type(),
        ModuleDeclaration::ExportFromDeclaration(it) => it.export_kind.is_type(),
        ModuleDeclaration::ExportDeclaration(it) => is_type_declaration(&it.declaration),
        ModuleDeclaration::ExportDefaultDeclaration(it) => match &it.declaration {
            ExportDefaultDeclarationKind::FunctionDeclaration(it) => it.body.is_none(),
            ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => true,
            _ => false,
        },
        ModuleDeclaration::TSExportAssignment(_) => false,
        ModuleDeclaration::TSNamespaceExportDeclaration(_) => true,
    }
}

fn is_type_declaration(declaration: &Declaration<'_>) -> bool {
    match declaration {
        Declaration::VariableDeclaration(it) => it.declare,
        // Without a body it is an overload.
        Declaration::FunctionDeclaration(it) => it.declare || it.body.is_none(),
        Declaration::ClassDeclaration(it) => it.declare,
        Declaration::TSEnumDeclaration(it) => it.declare,
        Declaration::TSNamespaceDeclaration(it) => it.declare || is_type_namespace(it),
        Declaration::TSImportEqualsDeclaration(it) => it.import_kind.is_type(),
        Declaration::TSTypeAliasDeclaration(_)
        | Declaration::TSInterfaceDeclaration(_)
        | Declaration::TSExternalModuleDeclaration(_)
        | Declaration::TSGlobalDeclaration(_) => true,
    }
}

fn is_type_namespace(namespace: &TSNamespaceDeclaration<'_>) -> bool {
    match &namespace.body {
        TSNamespaceDeclarationBody::TSNamespaceDeclaration(inner) => is_type_namespace(inner),
        TSNamespaceDeclarationBody::TSModuleBlock(block) => block.body.iter().all(is_type),
    }
}

/// How tightly an expression that has a type behind it holds together.
fn tightness(expression: &Expression<'_>) -> Precedence {
    match expression {
        Expression::TSAsExpression(it) => tightness(&it.expression),
        Expression::TSSatisfiesExpression(it) => tightness(&it.expression),
        Expression::BinaryExpression(it) => it.operator.precedence(),
        Expression::PrivateInExpression(_) => Precedence::Compare,
        // JavaScript takes neither as the base of a power.
        Expression::UnaryExpression(_) | Expression::AwaitExpression(_) => Precedence::Multiply,
        _ => Precedence::Member,
    }
}

/// How tightly the operator at the beginning of `text` holds its operands; those that hold less tightly than ` as Type`
/// does change no grouping.
fn operator(text: &str) -> Precedence {
    match text.as_bytes() {
        [b'+', b'+', ..] | [b'-', b'-', ..] => Precedence::Lowest,
        [b'+' | b'-', ..] => Precedence::Add,
        [b'*', b'*', ..] => Precedence::Exponentiation,
        [b'*' | b'/' | b'%', ..] => Precedence::Multiply,
        [b'<', b'<', ..] | [b'>', b'>', ..] => Precedence::Shift,
        _ => Precedence::Lowest,
    }
}

/// What ends a line in JavaScript.
fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

/// The parser counts in 32 bits, and takes no longer source.
fn length(text: &str) -> u32 {
    u32::try_from(text.len()).expect("a parsed source is shorter than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxc_allocator::Allocator;
    use oxc_parser::Parser;
    use oxc_span::SourceType;

    fn erased(source: &str) -> Result<String, Vec<Unsupported>> {
        let allocator = Allocator::default();
        let parsed = Parser::new(&allocator, source, SourceType::ts().with_module(true)).parse();
        assert!(parsed.diagnostics.is_empty(), "{source}\n{:?}", parsed.diagnostics);
        erase(source, &parsed.program)
    }

    fn refused(source: &str) -> Vec<(usize, &'static str)> {
        let unsupported = erased(source).unwrap_err();
        unsupported.into_iter().map(|it| (it.offset, it.sentence)).collect()
    }

    /// TypeScript, and what is left of it.
    const ERASED: &[(&str, &str)] = &[
        (
            "let a: number = 1, b: Array<string>, c!: Map<string, number>;",
            "let a         = 1, b               , c                      ;",
        ),
        (
            "function f<T extends object>(a: T, b?: string, ...rest: number[]): a is T { return a }",
            "function f                  (a   , b         , ...rest          )         { return a }",
        ),
        ("function f(this: Window, a: number) {}", "function f(              a        ) {}"),
        ("function f(this: Window) {}", "function f(            ) {}"),
        ("interface A { x: number }\nfoo()", ";                        \nfoo()"),
        ("a\ntype B = 1\n(c)()", "a\n;         \n(c)()"),
        (
            "export type { A } from \"./a\";\nexport type * from \"./b\"\nexport type B = number\nexport interface C {}\nexport default interface D {}",
            ";                            \n;                       \n;                     \n;                    \n;                            ",
        ),
        (
            "import type { A } from \"./a\";\nimport type D from \"d\"\nimport { type B, c, type D as E } from \"./b\";\nimport F, { type G } from \"./g\";\nimport type from \"./type\";\nexport { type c as d, F, };",
            ";                            \n;                     \nimport {         c,             } from \"./b\";\nimport F, {        } from \"./g\";\nimport type from \"./type\";\nexport {              F, };",
        ),
        (
            "declare const x: number;\ndeclare function g(): void\ndeclare module \"x\" { export const y: number }\ndeclare global { interface Window {} }\ndeclare namespace N { const z: 1 }\ndeclare enum Q { A }\ndeclare class K { m(): void }\nexport declare let w: 1\nnamespace T { export type A = 1; interface B {} }",
            ";                       \n;                         \n;                                            \n;                                     \n;                                 \n;                   \n;                            \n;                      \n;                                                ",
        ),
        ("const x = a as T\n(b)()", "const x = a ;   \n(b)()"),
        ("const x = a as T[]\n[1].map(f)", "const x = a ;     \n[1].map(f)"),
        ("const x = a as T\n`t`", "const x = a ;   \n`t`"),
        ("const x = a satisfies T as unknown as U;", "const x = a                            ;"),
        (
            "const x = f(a!, b!.c, d?.e!.f, g![0])\nx! += 1\na!\n++b",
            "const x = f(a , b .c, d?.e .f, g [0])\nx  += 1\na \n++b",
        ),
        (
            "const y = <T>x, z = <const>[\"a\"], w = typeof<any>x, v = <A><B>c;",
            "const y =    x, z =        [\"a\"], w = typeof     x, v =       c;",
        ),
        (
            "const f = g<string>\nconst h = new Map<string, number>\n(x)",
            "const f = g        \nconst h = new Map                \n(x)",
        ),
        ("const f = g<string>\nfoo()", "const f = g        \nfoo()"),
        (
            "call<T, U>(1); new Foo<A>(2); tag<T>`x`; a?.b<T>(); a?.<T>(1)",
            "call      (1); new Foo   (2); tag   `x`; a?.b   (); a?.   (1)",
        ),
        ("class A<T> extends B<T> implements C, D<T> { }", "class A    extends B                       { }"),
        (
            "class A implements C { }\nconst X = class implements D {}\nabstract class Y {}\nexport default abstract class Z {}",
            "class A              { }\nconst X = class              {}\n         class Y {}\nexport default          class Z {}",
        ),
        ("export abstract class Z<T> {}", "export          class Z    {}"),
        (
            "class A {\n  private readonly x: number = 1\n  public static y?: string\n  protected z!: number;\n  static readonly [k]: T\n  override get v(): number { return 1 }\n  declare d: string\n  abstract e: string\n  abstract m(): void\n  [key: string]: unknown\n  readonly #p: T = 1\n  private async *gen<T>(this: A, x: T): AsyncGenerator<T> {}\n  o?(): void {}\n  constructor(a: string);\n  constructor(a?: any) { super() }\n  accessor q: number = 1\n  public accessor r: number\n  \"quoted\"?: string\n  static { let x: number }\n}",
            "class A {\n                   x         = 1\n         static y         \n            z         ;\n  static          [k]   \n           get v()         { return 1 }\n  ;                \n  ;                 \n  ;                 \n  ;                     \n           #p    = 1\n          async *gen   (         x   )                    {}\n  o ()       {}\n  ;                      \n  constructor(a      ) { super() }\n  accessor q         = 1\n         accessor r        \n  \"quoted\"         \n  static { let x         }\n}",
        ),
        (
            "class A {\n  x = 1\n  public [y] = 2\n  z = 3\n  private *g() {}\n  w = 1\n  declare v: number\n  [u] = 1\n}",
            "class A {\n  x = 1\n  ;      [y] = 2\n  z = 3\n  ;       *g() {}\n  w = 1\n  ;                \n  [u] = 1\n}",
        ),
        (
            "class A {\n  static: boolean\n  get?: string\n  x = 1\n  set: T;\n  async: T = 1\n  m() {}\n}",
            "class A {\n  static;        \n  get;        \n  x = 1\n  set;  ;\n  async    = 1\n  m() {}\n}",
        ),
        ("class A {\n  x = y as T\n  [z] = 1\n}", "class A {\n  x = y ;   \n  [z] = 1\n}"),
        (
            "function over(a: string): void;\nfunction over(a: number): void\nfunction over(a: any) {}\nexport function o2(): void\nexport function o2() {}\nexport default function o3(): void;\nexport default function o3() {}",
            ";                              \n;                             \nfunction over(a     ) {}\n;                         \nexport function o2() {}\n;                                  \nexport default function o3() {}",
        ),
        ("const f = (x: number): {\n  a: string\n} => x", "const f = (x            \n           \n) => x"),
        (
            "const f = async <\n  T,\n>(x: T): Promise<T> => x",
            "const f = async (\n    \n  x   )             => x",
        ),
        ("function* f() { return <T,\n  U>(x: T) => x }", "function* f() { return (  \n     x   ) => x }"),
        (
            "const f = async <T,>(x?: T): Promise<\n  T> => { await x }",
            "const f = async     (x               \n   ) => { await x }",
        ),
        (
            "const f = (x): x is string => true, g = <T>(x: T) => x",
            "const f = (x)              => true, g =    (x   ) => x",
        ),
        (
            "try {} catch (e: unknown) {}\nfor (const x of y as T[]) {}\nfor (const [a, b]: any of c) {}",
            "try {} catch (e         ) {}\nfor (const x of y       ) {}\nfor (const [a, b]      of c) {}",
        ),
        (
            "({ m<T>(this: X, a?: T): void {}, get x(): number { return 1 }, set x(v: number) {} })",
            "({ m   (         a    )       {}, get x()         { return 1 }, set x(v        ) {} })",
        ),
        (
            "(x as any) = 1; (y!)++; [a as any, b!] = c; ({ p: q as any } = r)",
            "(x       ) = 1; (y )++; [a       , b ] = c; ({ p: q        } = r)",
        ),
        ("const é: \"ünï😀\" = /* 😀 */ x as \"😀\" // 😀", "const é          = /* 😀 */ x         // 😀"),
        ("let a: { // c\n\tb: string,\n} = x", "let a        \n           \n  = x"),
        (
            "return_: for (;;) { type A = 1; break return_ }\nswitch (a) { case b as T: type X = 1; c() }",
            "return_: for (;;) { ;           break return_ }\nswitch (a) { case b     : ;           c() }",
        ),
        (
            "const x = (a + b) as T * c\nconst y = a as T + b\nconst z = a == b as T",
            "const x = (a + b)      * c\nconst y = a      + b\nconst z = a == b     ",
        ),
        ("const g = <{\n  a: string\n}>JSON.parse(x)", "const g =   \n           \n  JSON.parse(x)"),
        ("import type fs = require(\"fs\")", ";                             "),
        (
            "export * as ns from \"./x\"\nexport as namespace Foo",
            "export * as ns from \"./x\"\n;                      ",
        ),
        (
            "type A = typeof import(\"x\")\nlet x: import(\"y\").Z = await import(\"z\")",
            ";                          \nlet x                = await import(\"z\")",
        ),
        ("let x = a < b, y = c > (d)", "let x = a < b, y = c > (d)"),
        (
            "const f = function <T>(this: T) {} , k = class<T> {}",
            "const f = function    (       ) {} , k = class    {}",
        ),
        (
            "export { type A }\nimport { type B } from \"b\"",
            "export {        }\nimport {        } from \"b\"",
        ),
        (
            "let f = (a: string, { b, c }: X = {}, [d]: Y[] = [], ...e: Z) => 1",
            "let f = (a        , { b, c }    = {}, [d]      = [], ...e   ) => 1",
        ),
        ("let v = cond ? (a): b => c : d", "let v = cond ? (a)    => c : d"),
        ("let t = a as T;[1].x", "let t = a     ;[1].x"),
        ("export default x as T\n[1]", "export default x ;   \n[1]"),
        (
            "function assertIsString(val: any): asserts val is string {}",
            "function assertIsString(val     )                        {}",
        ),
        ("let x: T\n(y)()\nlet z: T\n[w] = y", "let x   \n(y)()\nlet z   \n[w] = y"),
        ("a = b as any as (x: number) => void\n;(c)", "a = b                              \n;(c)"),
        ("let u = a! as T, w = a!<T>(b)", "let u = a      , w = a    (b)"),
        ("class A { async\n public x }", "class A { async\n        x }"),
        (
            "import json from \"./x.json\" with { type: \"json\" }",
            "import json from \"./x.json\" with { type: \"json\" }",
        ),
        ("using x: T = y", "using x    = y"),
        ("let x = y /* a */ as /* b */ T /* c */;", "let x = y /* a */              /* c */;"),
        (
            "function f(a /* x */ ? /* y */ : /* z */ string) {}",
            "function f(a /* x */   /* y */                 ) {}",
        ),
        (
            "class A { readonly: boolean = true; declare = 1; abstract() {}; public() {} }",
            "class A { readonly          = true; declare = 1; abstract() {}; public() {} }",
        ),
        ("let a = async <T>(x: T) => x, b = async<T>(x)", "let a = async    (x   ) => x, b = async   (x)"),
        (
            "(<any>{}).x\nlet q = [<T>{}], s = () => <T>({})",
            "(     {}).x\nlet q = [   {}], s = () =>    ({})",
        ),
        ("const x = a < (b as T) + c", "const x = a < (b     ) + c"),
        ("const f = (x): {\n}|é => x", "const f = (x    \n  ) => x"),
        ("const f = (x): {\n}|𠮷 => x", "const f = (x    \n  )  => x"),
        ("const f = async <T>\n(x: T) => x", "const f = async (  \n x   ) => x"),
        (
            "class A /* implements */ extends (f as any)<T> /* implements B */ implements /* c */ B {}",
            "class A /* implements */ extends (f       )    /* implements B */                      {}",
        ),
        ("#!/usr/bin/env node\nlet x: T", "#!/usr/bin/env node\nlet x   "),
        ("let x: {\ta:  string\n\t} = y", "let x              \n   = y"),
        ("class A { get?; x = 1; static!: T\n  y }", "class A { get;; x = 1; static;   \n  y }"),
        (
            "class A { x: any = 1\n public in = 2\n protected static [y]: T\n override async *z() {} }",
            "class A { x      = 1\n ;      in = 2\n           static [y]   \n          async *z() {} }",
        ),
        (
            "class A { public constructor() {} private static async m?() {} }",
            "class A {        constructor() {}         static async m () {} }",
        ),
        (
            "const a = { b: c as T, [d as string]: e!, ...(f as G) }",
            "const a = { b: c     , [d          ]: e , ...(f     ) }",
        ),
        ("const t = `${a as T} ${b!}`", "const t = `${a     } ${b }`"),
        ("export default (a: T): void => {}", "export default (a   )       => {}"),
        ("new (a as any)<T>(b!)", "new (a       )   (b )"),
        (
            "export default abstract class A<T> extends B<T> implements C { abstract x: T; constructor(y: T); }",
            "export default          class A    extends B                 { ;              ;                  }",
        ),
        ("let x = a as T // c\n(b)", "let x = a ;    // c\n(b)"),
        ("let x = y as\n  T, z", "let x = y   \n   , z"),
        ("a = <T>b\n(c)", "a =    b\n(c)"),
        (
            "for (let i: number = 0 as number; i < (n as number); i++) {}",
            "for (let i         = 0          ; i < (n          ); i++) {}",
        ),
        ("x as any", "x       "),
        ("let x = (<T>y).z as const", "let x = (   y).z         "),
        ("type A = {}; type B = {}; foo()", ";            ;            foo()"),
        (
            "let f: (a: string) => void = (a) => {}, g: new () => T",
            "let f                      = (a) => {}, g             ",
        ),
        (
            "abstract class A { private constructor(); public abstract get x(): T\n  m() {} }",
            "         class A { ;                      ;                         \n  m() {} }",
        ),
        (
            "const f = function (this: { a: 1 }, /* keep */ b: T,) {}",
            "const f = function (                /* keep */ b   ,) {}",
        ),
        ("function f(this: T /* a */ , b) {}", "function f(        /* a */   b) {}"),
        ("namespace A.B { }", ";                "),
        ("export type * as ns from \"./x\"", ";                             "),
        (
            "let a = b satisfies T ? c as D : e as F, g = (h as I, j as K)",
            "let a = b             ? c      : e     , g = (h     , j     )",
        ),
        (
            "import { type as, type as as, type as as as, type type } from \"./odd\"",
            "import {          type as as,                          } from \"./odd\"",
        ),
        (
            "class A { static async *[Symbol.iterator]?<T>(): T {} get [x](): T { return 1 } set y(v: T) {} }",
            "class A { static async *[Symbol.iterator]    ()    {} get [x]()    { return 1 } set y(v   ) {} }",
        ),
        ("let x = await (y as Promise<T>)!", "let x = await (y              ) "),
        (
            "yield_ = function* () { const x: T = yield y as T\n[z] = 1 }",
            "yield_ = function* () { const x    = yield y ;   \n[z] = 1 }",
        ),
        ("const x = a as any as T + b", "const x = a             + b"),
        ("if (a as T) (b)", "if (a     ) (b)"),
        ("while (a as T) [b].c", "while (a     ) [b].c"),
        ("let x = a! ? b! : c!", "let x = a  ? b  : c "),
    ];

    #[test]
    fn types_leave_nothing_but_space() {
        for (source, expected) in ERASED {
            assert_eq!(erased(source).as_deref(), Ok(*expected), "{source}");
        }
    }

    #[test]
    fn what_is_left_is_javascript() {
        for (source, _) in ERASED {
            let left = erased(source).unwrap();
            let allocator = Allocator::default();
            let parsed = Parser::new(&allocator, &left, SourceType::mjs()).parse();
            assert!(parsed.diagnostics.is_empty(), "{left}\n{:?}", parsed.diagnostics);
            assert_eq!(erase(&left, &parsed.program).unwrap(), left, "JavaScript stays as it is");
        }
    }

    #[test]
    fn every_line_and_column_stays_where_it_was() {
        let columns = |text: &str| -> Vec<usize> {
            text.split(is_line_break).map(|line| line.encode_utf16().count()).collect()
        };
        for (source, _) in ERASED {
            for ends in ["\n", "\r\n", "\u{2028}"] {
                let source = source.replace('\n', ends);
                assert_eq!(columns(&erased(&source).unwrap()), columns(&source), "{source}");
            }
        }
    }

    #[test]
    fn what_is_kept_is_kept_in_its_place() {
        for (source, _) in ERASED {
            let left: Vec<u16> = erased(source).unwrap().encode_utf16().collect();
            for (at, (was, is)) in source.encode_utf16().zip(left).enumerate() {
                let put = b" ;()".iter().any(|&put| is == u16::from(put));
                assert!(is == was || put, "unit {at} of {source}");
            }
        }
    }

    #[test]
    fn statements_begin_and_end_where_they_did() {
        // Every snippet behind every other, with no semicolon between: what is erased joins no lines.
        let statements = |source: &str, source_type| {
            let allocator = Allocator::default();
            let parsed = Parser::new(&allocator, source, source_type).parse();
            let program = &parsed.program;
            let left = |it: &&Statement<'_>| !is_type(it) && !matches!(it, Statement::EmptyStatement(_));
            let count = program.body.iter().filter(left).count();
            parsed.diagnostics.is_empty().then(|| (count, erase(source, program)))
        };
        let mut pairs = 0;
        for (first, _) in ERASED {
            for (second, _) in ERASED {
                // Nothing is exported twice, and `#!` stands at the top.
                if first.contains("export") && second.contains("export") || second.starts_with('#') {
                    continue;
                }
                let source = format!("{}\n{second}", first.trim_end_matches(';'));
                if let Some((count, Ok(left))) = statements(&source, SourceType::ts().with_module(true)) {
                    let again = statements(&left, SourceType::mjs());
                    assert_eq!(again, Some((count, Ok(left.clone()))), "{source}\n---\n{left}");
                    pairs += 1;
                }
            }
        }
        assert!(pairs > 5_000, "{pairs}");
    }

    #[test]
    fn what_makes_code_is_refused_with_the_cure() {
        for (source, sentence) in [
            ("enum A { B }", ENUM),
            ("const enum A { B }", ENUM),
            ("export enum A { B }", ENUM),
            ("namespace N { export const x = 1 }", NAMESPACE),
            ("module M.N { f() }", NAMESPACE),
            ("class A { constructor(private x: number) {} }", PARAMETER_PROPERTY),
            ("class A { constructor(readonly x = 1) {} }", PARAMETER_PROPERTY),
            ("class A { constructor(override x) {} }", PARAMETER_PROPERTY),
            ("import fs = require(\"fs\")", IMPORT_EQUALS),
            ("import A = B.C", IMPORT_EQUALS),
            ("export import A = B.C", IMPORT_EQUALS),
            ("export = a", EXPORT_EQUALS),
            ("@a class B {}", DECORATOR),
            ("class A { @b c() {} }", DECORATOR),
            ("class A { m(@b c) {} }", DECORATOR),
        ] {
            let refused = refused(source);
            assert_eq!(refused.len(), 1, "{source}");
            assert_eq!(refused[0].1, sentence, "{source}");
        }
        assert!(ENUM.contains("as const") && EXPORT_EQUALS.contains("export default"));
    }

    #[test]
    fn everything_refused_is_told_in_order() {
        let source = "class A { constructor(public x, @d y) {} }\nenum B {}\nlet x: T";
        assert_eq!(refused(source), [(22, PARAMETER_PROPERTY), (32, DECORATOR), (43, ENUM)]);
    }

    #[test]
    fn jsx_is_refused() {
        for source in ["let x = <div/>", "let x = <></>"] {
            let allocator = Allocator::default();
            let parsed = Parser::new(&allocator, source, SourceType::tsx().with_module(true)).parse();
            assert_eq!(erase(source, &parsed.program), Err(vec![Unsupported { offset: 8, sentence: JSX }]));
        }
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        for (source, sentence) in [
            ("function f() { return <T>\n  x }", BROKEN_LINE),
            ("throw <T>\nx", BROKEN_LINE),
            ("function* f() { yield <T>\nx }", BROKEN_LINE),
            ("const f = () => <T>{ a: 1 }", OPEN_BRACE),
            ("const f = () => <T><U>{ a: 1 }.a", OPEN_BRACE),
            ("<any>{ a: 1 }.a", OPEN_BRACE),
            ("<any>function () {}", OPEN_BRACE),
            ("const x = a ** b as T ** c", REGROUPED),
            ("const x = a < b as T\n+ c", REGROUPED),
            ("const x = a == b < c as T + d", REGROUPED),
            ("const x = a || b < c as T satisfies U - d", REGROUPED),
            ("class A { x = a < b as T\n*y() {} }", REGROUPED),
            ("const x = -a as T ** c", REGROUPED),
        ] {
            assert_eq!(refused(source).iter().map(|it| it.1).collect::<Vec<_>>(), [sentence], "{source}");
        }
    }
}
