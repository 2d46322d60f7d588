use owf::front::script::*;
#[test]
fn scratch() {
    let m = "export const meta = { name: 'a', description: 'b' }\n";
    for body in [
        "const files: string[] = []\nlet x = y as any;\ninterface A { b: string }\nenum C { D }\nfunction f(a?: number, b: string = 'x'): void {}\nconst g = <T,>(q: T) => q!;\nclass Z { private a: number; constructor(readonly x: string) {} }",
        "const x = ;",
        "const meta = 1",
        "const agent = 1; var phase; const args = 2",
        "var meta = 2",
        "function meta(){}",
        "import x from 'y'",
        "await import('x')",
        "import.meta.url",
        "export const b = 1",
        "export default 1",
        "with (a) {}",
        "await using x = 1",
        "using x = null",
        "if (true) { return 1 }",
        "for (;;) { await 1; return }",
        "let a; let a;",
        "require('x')",
        "meta.name",
        "typeof meta",
        "`abc",
        "'abc",
        "/abc",
        "(",
        "function f() { await 1 }",
        "{ const meta = 1 }",
        "let x = 08; delete x;",
        "x = 1",
        "break",
        "yield 1",
        "return",
        "new.target",
        "super.x",
        "await 1",
        "<div/>",
        "import type { X } from 'y'",
        "type A = string",
        "export type B = 1",
        "let a = b as const",
        "@dec class A {}",
        "enum A {B}",
        "const x = <any>y;",
        "abstract class A {}",
        "declare const x: number",
        "const a = b satisfies C",
        "foo<string>(1)",
        "/(/",
        "await",
        "const x = [1,2].map((y): number => y)",
        "class A { x = await 1 }",
        "const { a, b = 1 }: { a: string } = args",
        "label: for(;;) break label",
        "function f(this: any) {}",
        "export {}",
        "export * from 'x'",
    ] {
        let src = format!("{m}{body}");
        let c = check(src.as_bytes(), &Origin::File("x.js".into()));
        println!("=== {body}");
        for d in &c.diagnostics {
            println!(
                "  {}:{}-{:?} {:?} {} | {} | {:?}",
                d.line, d.column, d.end_column, d.severity, d.code, d.message, d.hint
            );
        }
        println!("  script={} meta={}", c.script.is_some(), c.meta.is_some());
    }
    for src in [
        "",
        "let meta = {}",
        "export let meta = {name:'a',description:'b'}",
        "export const meta = {name:'a',description:'b'}, b = 1",
        "export const meta = Object.freeze({})",
        "export const meta = ({name:'a',description:'b'})",
        "'use strict'\nexport const meta = {name:'a',description:'b'}",
        "export const meta = {name:'a',description:'b'} log('x')",
        "export const meta = {name:'a',description:'b'};;; log('x')",
        "export const meta = {name:'',description:3}",
        "#!/usr/bin/x\n// c\nexport const meta = {name:'a',description:'b'}",
        "export const meta = {name:'a' + x,...y, [z]: 1, description:`b${1}`, f() {}, get g() {return 1}, __proto__: 1, 'constructor': 2, h: -1, i: +1, j: /x/, k: 1n, l: [1,,2], m: undefined, n: -1n}",
        "export const meta",
        "export const meta = {name:'a',description:'b'}\nlet x = ((;",
        "export { meta }; const meta = {name:'a',description:'b'}",
        "export default {}",
        "export const meta: Meta = {name:'a',description:'b'}",
        "export const meta = {name:'a',description:'b'} as const",
    ] {
        let c = check(src.as_bytes(), &Origin::Inline);
        println!("=== {src}");
        for d in &c.diagnostics {
            println!(
                "  {}:{}-{:?} {:?} {} | {} | {:?}",
                d.line, d.column, d.end_column, d.severity, d.code, d.message, d.hint
            );
        }
        println!("  script={} meta={:?}", c.script.is_some(), c.meta);
    }
}
