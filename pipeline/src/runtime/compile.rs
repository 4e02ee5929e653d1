//! From the TypeScript of a workflow to a program that sandboxes run.
//!
//! Parse, refuse what a workflow may not contain (imports, `require`, a missing default export), strip the types with a
//! source map, compile to bytecode. Every error names a line and column of the TypeScript. Nothing is executed here.

use std::path::Path;
use std::sync::Arc;

use oxc_allocator::Allocator;
use oxc_ast::ast::{ExportDefaultDeclarationKind, Statement};
use oxc_codegen::{Codegen, CodegenOptions, CommentOptions};
use oxc_diagnostics::OxcDiagnostic;
use oxc_parser::{Parser, ParserReturn};
use oxc_semantic::{Semantic, SemanticBuilder};
use oxc_span::{GetSpan, SourceType, Span};
use oxc_transformer::{TransformOptions, Transformer};

use super::bytecode::{self, Kind};
use super::source_map::{Position, Positions};

/// Longest source that is accepted.
pub const SOURCE_BYTES_MAX: usize = 256 << 10;
/// Address space for the stack of the compiling thread. The parser recurses once per level of nesting, and a source of
/// `SOURCE_BYTES_MAX` may be one single nest; memory is taken only as deep as it goes.
const COMPILE_STACK_BYTES: usize = 2 << 30;
/// Characters of a source line that errors carry.
const SNIPPET_CHARS_MAX: usize = 160;

/// A compiled workflow, shared by all its executions.
#[derive(Debug)]
pub struct Program {
    name: String,
    source: Arc<str>,
    source_hash: [u8; 32],
    bytecode: Box<[u8]>,
    positions: Positions,
}

/// Why a source was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct CompileError {
    /// What is wrong, and what to do about it.
    pub message: String,
    /// Line in the TypeScript, from 1.
    pub line: u32,
    /// Column in the TypeScript, in characters from 1.
    pub column: u32,
    /// The text of that line, cut if it is long.
    pub snippet: String,
}

impl Program {
    /// The file name that stack traces show.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The TypeScript.
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// BLAKE3 of the TypeScript.
    pub fn source_hash(&self) -> &[u8; 32] {
        &self.source_hash
    }

    /// Size of the bytecode.
    pub fn bytecode_bytes(&self) -> usize {
        self.bytecode.len()
    }

    pub(crate) fn bytecode(&self) -> &[u8] {
        &self.bytecode
    }

    pub(crate) fn positions(&self) -> &Positions {
        &self.positions
    }

    /// The text of a line of the TypeScript, cut if it is long.
    pub(crate) fn line(&self, line: u32) -> Option<String> {
        line_text(&self.source, line)
    }
}

/// Compiles the TypeScript (or, by the name's ending, JavaScript) of a workflow. `file_name` is what errors show.
pub fn compile(source: &str, file_name: &str) -> Result<Program, CompileError> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the workflow has {} bytes; {SOURCE_BYTES_MAX} are allowed", source.len());
        return Err(CompileError { message, line: 1, column: 1, snippet: String::new() });
    }
    let name = stack_name(file_name);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("fastn-compile".into()).stack_size(COMPILE_STACK_BYTES);
        let failed = |message: String| CompileError { message, line: 1, column: 1, snippet: String::new() };
        match thread.spawn_scoped(scope, || compile_here(source, &name)) {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(failed("the compiler failed on this source".into()))),
            Err(error) => Err(failed(format!("no thread to compile on: {error}"))),
        }
    })
}

/// A name that can be found again in a stack trace: the last part of the path, of harmless characters only.
fn stack_name(file_name: &str) -> String {
    let last = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    let name: String =
        last.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' }).take(100).collect();
    if name.is_empty() { "workflow.ts".into() } else { name }
}

fn compile_here(source: &str, name: &str) -> Result<Program, CompileError> {
    let allocator = Allocator::default();
    let source_type = SourceType::from_path(Path::new(name)).unwrap_or_else(|_| SourceType::ts()).with_module(true);
    let fail = |message: String, span: Span| error_at(source, message, span);
    let parsed = Parser::new(&allocator, source, source_type).parse();
    if let Some(diagnostic) = parsed.diagnostics.errors().next() {
        return Err(of_diagnostic(source, diagnostic));
    }
    if parsed.panicked {
        return Err(fail("the source cannot be parsed".into(), Span::new(0, 0)));
    }
    refuse_dynamic_imports(&parsed).map_err(|(message, span)| fail(message, span))?;
    let ParserReturn { mut program, .. } = parsed;
    let scoping = {
        let built = SemanticBuilder::new()
            .with_check_syntax_error(true)
            .with_build_nodes(true)
            .with_enum_eval(true)
            .with_excess_capacity(2.0)
            .build(&program);
        if let Some(diagnostic) = built.diagnostics.errors().next() {
            return Err(of_diagnostic(source, diagnostic));
        }
        if let Some(span) = first_use(&built.semantic, "require") {
            return Err(fail(NO_IMPORTS.replace("{}", "`require`"), span));
        }
        built.semantic.into_scoping()
    };
    let transformed = Transformer::new(&allocator, Path::new(name), &TransformOptions::default())
        .build_with_scoping(scoping, &mut program);
    if let Some(diagnostic) = transformed.diagnostics.errors().next() {
        return Err(of_diagnostic(source, diagnostic));
    }
    check_module(&program.body).map_err(|(message, span)| fail(message, span))?;
    let options = CodegenOptions {
        comments: CommentOptions::disabled(),
        source_map_path: Some(Path::new(name).to_path_buf()),
        indent_width: 0, // the indentation of a deep nest would grow with the square of its depth
        ..CodegenOptions::default()
    };
    let generated = Codegen::new().with_options(options).build(&program);
    let tokens = generated.map.as_ref().map(|map| {
        map.get_tokens().map(|t| [t.get_dst_line(), t.get_dst_col(), t.get_src_line(), t.get_src_col()]).collect()
    });
    let positions = Positions::new(tokens.unwrap_or_default());
    let bytecode = bytecode::compile(&generated.code, name, Kind::Module).map_err(|thrown| {
        let at = positions.frames(&thrown.stack, name).first().map(|frame| frame.at);
        error_on(source, thrown.message, at.unwrap_or(Position { line: 1, column: 1 }))
    })?;
    Ok(Program {
        name: name.to_owned(),
        source: source.into(),
        source_hash: *blake3::hash(source.as_bytes()).as_bytes(),
        bytecode: bytecode.into_boxed_slice(),
        positions,
    })
}

const NO_IMPORTS: &str = "{} is not available: a workflow is one file, and everything it may use is global (`fetch`, `fastn`, \
                          `URL`, …); only `import type` is allowed";

fn refuse_dynamic_imports(parsed: &ParserReturn<'_>) -> Result<(), (String, Span)> {
    if let Some(import) = parsed.module_record.dynamic_imports.first() {
        return Err((NO_IMPORTS.replace("{}", "`import()`"), import.span));
    }
    match parsed.module_record.import_metas.first() {
        Some(span) => Err((NO_IMPORTS.replace("{}", "`import.meta`"), *span)),
        None => Ok(()),
    }
}

/// Where a global of this name is first used.
fn first_use(semantic: &Semantic<'_>, name: &str) -> Option<Span> {
    let references = semantic.scoping().root_unresolved_references();
    let ids = references.iter().find(|(known, _)| known.as_str() == name).map(|(_, ids)| ids)?;
    let spans = ids.iter().map(|&id| {
        let reference = semantic.scoping().get_reference(id);
        semantic.nodes().get_node(reference.node_id()).kind().span()
    });
    spans.min_by_key(|span| span.start)
}

/// Checks the statements that are left once types are gone: no imports, and a default export that may be a function.
fn check_module(body: &[Statement<'_>]) -> Result<(), (String, Span)> {
    let import = |span: Span| Err((NO_IMPORTS.replace("{}", "`import`"), span));
    let mut default = false;
    for statement in body {
        match statement {
            Statement::ImportDeclaration(import_of) => return import(import_of.span),
            Statement::ExportAllDeclaration(export) => return import(export.span),
            Statement::ExportFromDeclaration(export) => return import(export.span),
            Statement::ExportNamedDeclaration(export) => {
                default |= export.specifiers.iter().any(|s| s.exported.name() == "default");
            }
            Statement::ExportDefaultDeclaration(export) => {
                check_default(&export.declaration).map_err(|message| (message, export.declaration.span()))?;
                default = true;
            }
            _ => {}
        }
    }
    if default {
        return Ok(());
    }
    Err((format!("no default export; write `{EXAMPLE}`"), Span::new(0, 0)))
}

const EXAMPLE: &str = "export default async function (ctx) { … }";

fn check_default(declaration: &ExportDefaultDeclarationKind<'_>) -> Result<(), String> {
    use ExportDefaultDeclarationKind as Default;
    let what = match declaration {
        Default::FunctionDeclaration(function) if function.generator => "a generator",
        Default::ArrowFunctionExpression(_) | Default::FunctionDeclaration(_) | Default::FunctionExpression(_) => {
            return Ok(());
        }
        Default::ClassDeclaration(_) | Default::ClassExpression(_) => "a class",
        Default::ObjectExpression(_) => "an object",
        Default::ArrayExpression(_) => "an array",
        Default::StringLiteral(_) | Default::TemplateLiteral(_) => "a string",
        Default::NumericLiteral(_) | Default::BigIntLiteral(_) => "a number",
        Default::BooleanLiteral(_) | Default::NullLiteral(_) | Default::RegExpLiteral(_) => "a literal",
        _ => return Ok(()), // a name or a call: what it gives is seen when it runs
    };
    Err(format!("the default export is {what}, not a function; write `{EXAMPLE}`"))
}

fn of_diagnostic(source: &str, diagnostic: &OxcDiagnostic) -> CompileError {
    let offset = diagnostic.labels.iter().map(|label| label.offset()).min().unwrap_or(0);
    let mut message = diagnostic.message.to_string();
    if let Some(help) = &diagnostic.help {
        message.push_str(": ");
        message.push_str(help);
    }
    error_at(source, message, Span::new(offset, offset))
}

fn error_at(source: &str, message: String, span: Span) -> CompileError {
    let offset = source.floor_char_boundary(span.start as usize);
    let before = &source[..offset];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = before.matches('\n').count() as u32 + 1;
    error_on(source, message, Position { line, column: source[line_start..offset].chars().count() as u32 + 1 })
}

fn error_on(source: &str, message: String, at: Position) -> CompileError {
    let snippet = line_text(source, at.line).unwrap_or_default();
    CompileError { message, line: at.line, column: at.column, snippet }
}

fn line_text(source: &str, line: u32) -> Option<String> {
    let text = source.lines().nth(line.checked_sub(1)? as usize)?;
    Some(text.chars().take(SNIPPET_CHARS_MAX).collect())
}
