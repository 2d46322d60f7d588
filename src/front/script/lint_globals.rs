//! Lints about names: globals that do not exist here, `meta` in the body, the clock, chance, `eval`.

use std::collections::{BTreeMap, HashSet};

use oxc_ast::AstKind;
use oxc_ast::ast::{Expression, IdentifierReference, UnaryOperator};
use oxc_semantic::NodeId;
use oxc_span::{GetSpan, Span};

use crate::front::script::diagnostic::{Diagnostic, Severity};
use crate::front::script::nearest::nearest;
use crate::front::script::tree::Tree;

/// What the dialect adds to the language.
pub(super) const HOOKS: &[&str] = &[
    "agent",
    "parallel",
    "pipeline",
    "workflow",
    "phase",
    "log",
    "args",
    "budget",
    "console",
    "setTimeout",
    "clearTimeout",
    "owf",
    "URL",
];

/// What of the language there is.
const LANGUAGE: &[&str] = &[
    "AggregateError",
    "Array",
    "ArrayBuffer",
    "AsyncDisposableStack",
    "BigInt",
    "BigInt64Array",
    "BigUint64Array",
    "Boolean",
    "DataView",
    "Date",
    "DisposableStack",
    "Error",
    "EvalError",
    "Float16Array",
    "Float32Array",
    "Float64Array",
    "Function",
    "Infinity",
    "Int16Array",
    "Int32Array",
    "Int8Array",
    "Iterator",
    "JSON",
    "Map",
    "Math",
    "NaN",
    "Number",
    "Object",
    "Promise",
    "Proxy",
    "RangeError",
    "ReferenceError",
    "Reflect",
    "RegExp",
    "Set",
    "String",
    "SuppressedError",
    "Symbol",
    "SyntaxError",
    "TypeError",
    "URIError",
    "Uint16Array",
    "Uint32Array",
    "Uint8Array",
    "Uint8ClampedArray",
    "WeakMap",
    "WeakSet",
    "decodeURI",
    "decodeURIComponent",
    "encodeURI",
    "encodeURIComponent",
    "escape",
    "eval",
    "globalThis",
    "isFinite",
    "isNaN",
    "parseFloat",
    "parseInt",
    "undefined",
    "unescape",
];

/// What to do instead of a global that scripts often reach for.
fn instead(name: &str) -> Option<&'static str> {
    Some(match name {
        "fetch" | "XMLHttpRequest" | "WebSocket" => {
            "a script has no network: let an agent fetch it, or pass it in args"
        }
        "require" | "module" | "exports" => "a script has no modules: write what you need into it",
        "process" => "a script has no process or environment: pass values in args",
        "__dirname" | "__filename" | "fs" | "path" | "Deno" | "Bun" => {
            "a script has no files: let an agent read and write them, or pass paths in args"
        }
        "Buffer" | "TextEncoder" | "TextDecoder" | "atob" | "btoa" => {
            "use `Uint8Array.fromBase64` and `toBase64`, or let an agent do it"
        }
        "window" | "self" | "global" | "document" | "navigator" => "the global object is `globalThis`",
        "setInterval" | "setImmediate" | "queueMicrotask" => "use `setTimeout`, or `await owf.sleep(ms)`",
        "structuredClone" => "use `JSON.parse(JSON.stringify(value))`",
        "crypto" | "performance" => "a script has neither clock nor chance: pass values in args",
        "Intl" | "Temporal" => "write the formatting yourself: there is no clock and no locale here",
        "arguments" => "take the arguments of a function as `(...list)`",
        "import"
        | "Worker"
        | "SharedArrayBuffer"
        | "Atomics"
        | "WebAssembly"
        | "WeakRef"
        | "FinalizationRegistry"
        | "AbortController"
        | "Event"
        | "Blob" => "it does not exist in a script",
        _ => return None,
    })
}

/// Looks at every name.
pub(super) fn check(tree: &Tree<'_, '_>, inline: bool, meta: Option<Span>, out: &mut Vec<Diagnostic>) {
    undeclared(tree, meta, out);
    if let Some(meta) = meta {
        meta_in_body(tree, meta, out);
    }
    for node in tree.nodes().iter() {
        out.extend(nondeterministic(tree, node.kind(), inline));
        out.extend(evaluated(tree, node.kind()));
    }
}

/// One name that no declaration explains.
#[derive(Default)]
struct Unknown {
    first: Option<Span>,
    count: u32,
    guarded: bool,
    tried: bool,
    assigned: bool,
}

fn undeclared(tree: &Tree<'_, '_>, meta: Option<Span>, out: &mut Vec<Diagnostic>) {
    let known: HashSet<&str> = HOOKS.iter().chain(LANGUAGE).copied().collect();
    let mut unknown: BTreeMap<&str, Unknown> = BTreeMap::new();
    for node in tree.nodes().iter() {
        let AstKind::IdentifierReference(id) = node.kind() else { continue };
        if tree.symbol(id).is_some() || known.contains(id.name.as_str()) || is_type(tree, id) {
            continue;
        }
        // A name in `meta` has been refused already.
        if meta.is_some_and(|m| m.contains_inclusive(id.span)) {
            continue;
        }
        let entry = unknown.entry(id.name.as_str()).or_default();
        entry.count += 1;
        if under_typeof(tree, node.id()) {
            entry.guarded = true;
        } else if entry.first.is_none_or(|first| id.span.start < first.start) {
            entry.first = Some(id.span);
            entry.tried = in_try(tree, node.id());
            entry.assigned = written(tree, id);
        }
    }
    for (name, found) in unknown {
        // A script that asks `typeof name` first knows that it may be absent.
        let Some(span) = found.first.filter(|_| !found.guarded) else { continue };
        let severity = if found.tried { Severity::Note } else { Severity::Warning };
        let more = if found.count > 1 { format!(" ({} places)", found.count) } else { String::new() };
        let message = if found.assigned && instead(name).is_none() {
            format!("`{name}` is assigned but not declared: a ReferenceError when it runs{more}")
        } else {
            format!("`{name}` is not defined in a script: a ReferenceError when it runs{more}")
        };
        let hint = instead(name).map(str::to_owned).or_else(|| {
            let near = nearest(name, HOOKS.iter().chain(LANGUAGE).copied(), 1);
            near.first().map(|n| format!("did you mean `{n}`?"))
        });
        let hint = hint.or_else(|| found.assigned.then(|| format!("declare it: `let {name}`")));
        out.push(tree.diagnostic(severity, "undeclared", span, message, hint.unwrap_or_default()));
    }
}

fn is_type(tree: &Tree<'_, '_>, id: &IdentifierReference<'_>) -> bool {
    id.reference_id.get().is_some_and(|r| tree.scoping().get_reference(r).is_type())
}

fn written(tree: &Tree<'_, '_>, id: &IdentifierReference<'_>) -> bool {
    id.reference_id.get().is_some_and(|r| {
        let reference = tree.scoping().get_reference(r);
        reference.is_write() && !reference.is_read()
    })
}

fn under_typeof(tree: &Tree<'_, '_>, node: NodeId) -> bool {
    let mut around = tree.around(node).skip_while(|k| matches!(k, AstKind::ParenthesizedExpression(_)));
    matches!(around.next(), Some(AstKind::UnaryExpression(unary)) if unary.operator == UnaryOperator::Typeof)
}

fn in_try(tree: &Tree<'_, '_>, node: NodeId) -> bool {
    let span = tree.nodes().kind(node).span();
    tree.around(node).any(|kind| match kind {
        AstKind::TryStatement(s) => s.handler.is_some() && s.block.span.contains_inclusive(span),
        _ => false,
    })
}

fn meta_in_body(tree: &Tree<'_, '_>, meta: Span, out: &mut Vec<Diagnostic>) {
    let declared = tree.scoping().symbol_ids().find(|id| {
        tree.scoping().symbol_name(*id) == "meta" && meta.contains_inclusive(tree.scoping().symbol_span(*id))
    });
    let Some(symbol) = declared else { return };
    let uses: Vec<NodeId> =
        tree.scoping().get_resolved_references(symbol).map(oxc_semantic::Reference::node_id).collect();
    if let Some(first) = uses.into_iter().find(|node| !under_typeof(tree, *node)) {
        let message = "`meta` is not visible in the body: a ReferenceError when it runs";
        let span = tree.nodes().kind(first).span();
        let hint = "put the value into a constant of its own";
        out.push(tree.diagnostic(Severity::Warning, "meta_not_visible", span, message, hint));
    }
}

fn nondeterministic(tree: &Tree<'_, '_>, kind: AstKind<'_>, inline: bool) -> Option<Diagnostic> {
    let clock = "pass the time in args; `new Date(value)` works";
    let (span, what, hint, refused) = match kind {
        AstKind::StaticMemberExpression(member) => {
            let name = member.property.name.as_str();
            if name == "now" && tree.is_global(&member.object, "Date") {
                (member.span, "Date.now()", clock, true)
            } else if name == "random" && tree.is_global(&member.object, "Math") {
                (member.span, "Math.random()", "vary by index, or pass a seed in args", true)
            } else {
                return None;
            }
        }
        AstKind::NewExpression(new) if new.arguments.is_empty() && tree.is_global(&new.callee, "Date") => {
            (new.span, "new Date()", clock, true)
        }
        AstKind::CallExpression(call) if tree.is_global(&call.callee, "Date") => (call.span, "Date()", clock, false),
        _ => return None,
    };
    // Only inline text is scanned by the dialect; a file fails where it runs.
    let severity = if inline && refused { Severity::Error } else { Severity::Warning };
    let message = if severity == Severity::Error {
        format!("`{what}` is not allowed: a run must be repeatable")
    } else {
        format!("`{what}` throws when it runs: a run must be repeatable")
    };
    Some(tree.diagnostic(severity, "nondeterministic", span, message, hint))
}

fn evaluated(tree: &Tree<'_, '_>, kind: AstKind<'_>) -> Option<Diagnostic> {
    let (callee, span): (&Expression<'_>, Span) = match kind {
        AstKind::CallExpression(call) => (&call.callee, call.span),
        AstKind::NewExpression(new) => (&new.callee, new.span),
        _ => return None,
    };
    let name = ["eval", "Function"].into_iter().find(|name| tree.is_global(callee, name))?;
    let message = format!("`{name}` throws an EvalError here: a script runs only what was checked");
    Some(tree.diagnostic(Severity::Warning, "eval", span, message, "write the code itself"))
}
