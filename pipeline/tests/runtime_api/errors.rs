//! Errors: the line of the TypeScript, the kind, and what a source may not contain.

use fastn_pipeline::runtime::{ErrorKind, compile};

use crate::driver::{Driver, null};

/// Types, interfaces, enums and multi-line generics that vanish before the line that fails.
const VANISHING: &str = "interface Item<
  T extends string,
  U = { a: T },
> { a: T; b: U }
type Wide = {
  [key: string]: Item<'x'>;
};
enum Color { Red = 1, Green = Red << 1 }
const enum Small { One = 1 }
declare global { interface Window { x: number } }
class Box<T> {
  private readonly inner: T;
  constructor(protected value: T) { this.inner = value }
  get(): T { return this.inner }
}
function identity<T extends object = {}>(
  value: T,
): T {
  return value as unknown as T;
}
";

/// Property: a runtime error names line, column and text of the TypeScript, however much of it vanished before it runs,
/// also inside called functions and after an await.
#[test]
fn a_runtime_error_names_its_line() {
    let source = format!(
        "{VANISHING}function deep(x: Wide | null): number {{
  const box = new Box<number>(Color.Green + Small.One);
  identity<{{}}>({{}});
  return (x as any).missing.field + box.get();
}}
export default async function (ctx: {{ sleep(n: number): Promise<void> }}): Promise<number> {{
  await ctx.sleep(1);
  return deep(null);
}}"
    );
    let run = Driver::new().run(&source, "{}", null);
    let error = run.error();
    assert_eq!((error.kind, error.name.as_str()), (ErrorKind::Code, "TypeError"));
    assert_eq!(error.source_line.as_deref(), Some("  return (x as any).missing.field + box.get();"));
    assert_eq!((error.line, error.column), (Some(24), Some(11)), "{error:?}");
    let lines: Vec<_> = error.stack.lines().collect();
    assert!(lines[0].starts_with("at deep (flow.ts:24:"), "{lines:?}");
    assert!(lines[1].starts_with("at default (flow.ts:28:"), "{lines:?}");
}

/// Property: whatever is thrown, the failure is told; a thing that is no error keeps its text.
#[test]
fn anything_can_be_thrown() {
    for (thrown, message) in [
        ("'just text'", "just text"),
        ("{ a: 1 }", "{\"a\":1}"),
        ("undefined", "undefined"),
        ("Object.create(null)", "{}"),
        ("{ get message() { throw 1 } }", ""),
        ("Object.defineProperty(new Error('x'), 'message', { get() { throw 1 } })", ""),
    ] {
        let run = Driver::new().run(&format!("export default async function () {{ throw {thrown} }}"), "{}", null);
        assert!(run.error().message.contains(message), "{thrown}: {:?}", run.error());
    }
}

/// Property: an output that is no JSON fails as such; one that JSON can leave out becomes null.
#[test]
fn outputs() {
    let driver = Driver::new();
    for bad in ["10n", "(() => { const a = {}; a.a = a; return a })()"] {
        let run = driver.run(&format!("export default async function () {{ return {bad} }}"), "{}", null);
        assert_eq!(run.error().kind, ErrorKind::Output, "{bad}");
    }
    for (value, output) in
        [("undefined", "null"), ("() => 1", "null"), ("[new Date(0), NaN]", r#"["1970-01-01T00:00:00.000Z",null]"#)]
    {
        let run = driver.run(&format!("export default async function () {{ return {value} }}"), "{}", null);
        assert_eq!(run.output(), output);
    }
}

/// Property: a workflow that can never go on fails instead of waiting for ever.
#[test]
fn a_promise_that_nothing_settles() {
    let run = Driver::new().run("export default async function () { await new Promise(() => {}) }", "{}", null);
    assert!(run.error().message.contains("nothing can settle"), "{:?}", run.error());
}

/// Property: a default export that turns out to be no function fails with a message, as does code at the top that throws.
#[test]
fn modules_that_fail() {
    let run = Driver::new().run("const x = JSON.parse('1');\nexport default x;", "{}", null);
    assert!(run.error().message.contains("not a function"), "{:?}", run.error());
    let run = Driver::new().run("type X = 1;\nnull.x;\nexport default async function () {}", "{}", null);
    assert_eq!((run.error().kind, run.error().line), (ErrorKind::Code, Some(2)), "{:?}", run.error());
    let run = Driver::new().run("const x = await fetch('https://a.test');\nexport default async () => x.y", "{}", null);
    assert_eq!(run.keys(), ["fetch"], "a module may wait at its top: {:?}", run.error);
}

/// Property: what a source may not contain is refused with its line and column in the TypeScript.
#[test]
fn refused_sources() {
    for (source, line, column, message) in [
        ("const x = ;", 1, 11, "Unexpected token"),
        ("type A = 1\n\nconst y: = 2", 3, 10, "Unexpected token"),
        ("import fs from 'fs';\nexport default async () => fs", 1, 1, "`import` is not available"),
        ("type T = 1;\nexport * from './x'", 2, 1, "`import` is not available"),
        ("export default async () => {\n  const a = await import('x')\n}", 2, 19, "`import()` is not available"),
        ("export default async () => {\n  require('x')\n}", 2, 3, "`require` is not available"),
        ("export const x = 1", 1, 1, "no default export"),
        ("\nexport default { a: 1 }", 2, 16, "an object, not a function"),
        ("export default class X {}", 1, 16, "a class, not a function"),
        ("interface A {}\nlet a = 1; let a = 2;\nexport default () => {}", 2, 5, "already been declared"),
        ("export default async function () { return await }", 1, 49, "Unexpected token"),
    ] {
        let error = compile(source, "flow.ts").expect_err(source);
        assert_eq!((error.line, error.column), (line, column), "{source}: {error}");
        assert!(error.message.contains(message), "{source}: {error}");
        assert_eq!(error.snippet, source.lines().nth(line as usize - 1).unwrap());
    }
}

/// Property: type-only imports vanish, and every common TypeScript form compiles and runs.
#[test]
fn accepted_sources() {
    let source = format!(
        "import type {{ X }} from './types';\nimport {{ type Y }} from 'y';\n{VANISHING}
        namespace N {{ export const one = 1 }}
        const x = {{ a: 1 }} satisfies Record<string, number>;
        function over(a: string): void; function over(a: number): void; function over(a: any) {{}}
        abstract class A {{ abstract m(): void; static #p = 2; static get p() {{ return A.#p }} }}
        export default async function run(this: void, ctx: any, ...rest: unknown[]) {{
            const y = ctx.input!.z?.w ?? 'none';
            label: for (const _ of [1]) continue label;
            return [x.a, y, Color[2], Color.Red, Small.One, N.one, A.p, `${{1n}}`, new Box(5).get(), 2 ** 3, /a(?<n>b)/u.exec('ab')!.groups!.n];
        }}"
    );
    let run = Driver::new().run(&source, r#"{"z":null}"#, null);
    assert_eq!(run.output(), r#"[1,"none","Green",1,1,1,2,"1",5,8,"b"]"#);
}

/// Property: a source that is one enormous nest is refused or compiled, and crashes nothing.
#[test]
fn nests_do_not_crash() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("!", ""),
        ("{", "}"),
        ("a=>", ""),
        ("`${", "}`"),
        ("-+", ""),
        ("if(1)", ""),
        ("new ", ""),
    ] {
        let depth = (120 << 10) / (open.len() + close.len());
        let source = format!("export default async () => {}1{}", open.repeat(depth), close.repeat(depth));
        let _ = compile(&source, "flow.ts");
    }
    assert!(compile(&" ".repeat(300 << 10), "flow.ts").unwrap_err().message.contains("are allowed"));
}

/// Property: what the type declarations' own sample writes, the runtime compiles.
#[test]
fn the_sample_of_the_declarations_compiles() {
    let source = include_str!("../../../tests/types/good.ts");
    assert!(compile(source, "good.ts").is_ok());
}
