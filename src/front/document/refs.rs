//! What a template speaks of: the paths in it, read off its syntax tree, and what no template may do.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt, UnaryOpKind};

use crate::front::script::close;

/// The parts of a task that stand after its id: `tasks.a.data`.
pub(super) const PARTS: &[&str] =
    &["text", "data", "files", "status", "error", "ok", "iterations", "cap_reached", "decision"];

/// What is said of a part that a task does not have.
pub(super) fn no_part(id: &str, part: &str) -> String {
    let known = PARTS.join(", ");
    format!("`tasks.{id}.{part}` is no part of a task: use `tasks.{id}.data.{part}`, or one of {known}")
}

/// Where the parts of tasks are found by the rewritten template.
pub(super) const TASK_PARTS: &str = "tasks__parts";

/// Where the parts of the task's own result are found by the rewritten template.
pub(super) const OUTPUT_PARTS: &str = "output__parts";

/// Names that stand for something in every template.
const FUNCTIONS: &[&str] = &["range", "dict", "namespace"];

const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "json",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "zip",
];

const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];

/// One path of a template: `tasks.a.data.b.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ref {
    /// The first name.
    pub(super) root: String,
    /// What follows, as far as it is written out.
    pub(super) path: Vec<String>,
    /// Whether it may be missing: it stands before `default`, or is asked whether it is defined.
    pub(super) optional: bool,
    /// Whether more follows that is known only when it is evaluated: `a[b]`.
    pub(super) open: bool,
}

impl Ref {
    /// The path as it was written.
    pub(super) fn text(&self) -> String {
        std::iter::once(self.root.as_str()).chain(self.path.iter().map(String::as_str)).collect::<Vec<_>>().join(".")
    }
}

/// What was found in one template.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Its paths, in order.
    pub(super) refs: Vec<Ref>,
    /// What it may not do.
    pub(super) problems: Vec<String>,
    /// Byte ranges of the source and what takes their place.
    pub(super) edits: Vec<(usize, usize, &'static str)>,
}

/// The walk over one tree.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) found: Found,
    locals: Vec<String>,
    /// Whether what is walked is a condition by itself.
    asked: bool,
}

impl Walk {
    /// Walks a statement and what is below it.
    pub(super) fn stmt(&mut self, stmt: &Stmt<'_>) {
        match stmt {
            Stmt::Template(t) => self.body(&t.children),
            Stmt::EmitExpr(e) => self.expr(&e.expr, false),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(f) => {
                self.expr(&f.iter, false);
                let before = self.locals.len();
                self.bind(&f.target);
                self.locals.push("loop".to_owned());
                if let Some(filter) = &f.filter_expr {
                    self.expr(filter, false);
                }
                self.body(&f.body);
                self.locals.truncate(before);
                self.body(&f.else_body);
            }
            Stmt::IfCond(c) => {
                self.condition(&c.expr, false);
                self.scoped(&c.true_body);
                self.scoped(&c.false_body);
            }
            Stmt::WithBlock(w) => {
                let before = self.locals.len();
                for (target, value) in &w.assignments {
                    self.expr(value, false);
                    self.bind(target);
                }
                self.body(&w.body);
                self.locals.truncate(before);
            }
            Stmt::Set(s) => {
                self.expr(&s.expr, false);
                self.bind(&s.target);
            }
            Stmt::SetBlock(s) => {
                self.body(&s.body);
                self.bind(&s.target);
            }
            Stmt::FilterBlock(f) => {
                self.expr(&f.filter, false);
                self.body(&f.body);
            }
            Stmt::AutoEscape(_) => self.problem("`autoescape` has no use here"),
            Stmt::Block(_) | Stmt::Import(_) | Stmt::FromImport(_) | Stmt::Extends(_) | Stmt::Include(_) => {
                self.problem("a template stands alone: it cannot include, import or extend another");
            }
            Stmt::Macro(_) | Stmt::CallBlock(_) => self.problem("macros are not available in templates"),
            Stmt::Do(d) => {
                for arg in &d.call.args {
                    self.arg(arg);
                }
            }
        }
    }

    fn body(&mut self, body: &[Stmt<'_>]) {
        for stmt in body {
            self.stmt(stmt);
        }
    }

    fn scoped(&mut self, body: &[Stmt<'_>]) {
        let before = self.locals.len();
        self.body(body);
        self.locals.truncate(before);
    }

    fn problem(&mut self, message: &str) {
        self.found.problems.push(message.to_owned());
    }

    fn known(&mut self, what: &str, name: &str, known: &[&str]) {
        if !known.contains(&name) {
            let meant = close(name, known.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            self.found.problems.push(format!("there is no {what} `{name}`{}", meant.unwrap_or_default()));
        }
    }

    fn bind(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(var) => self.locals.push(var.id.to_owned()),
            Expr::List(list) => list.items.iter().for_each(|item| self.bind(item)),
            Expr::Tuple(list) => list.items.iter().for_each(|item| self.bind(item)),
            _ => {}
        }
    }

    /// Walks a condition: `{% if loop.feedback %}` asks whether it is there, so what stands below it may be missing.
    fn condition(&mut self, expr: &Expr<'_>, optional: bool) {
        match expr {
            Expr::UnaryOp(u) if matches!(u.op, UnaryOpKind::Not) => self.condition(&u.expr, optional),
            Expr::BinOp(b) if matches!(b.op, BinOpKind::ScAnd | BinOpKind::ScOr) => {
                self.condition(&b.left, optional);
                self.condition(&b.right, optional);
            }
            Expr::GetAttr(_) => {
                self.asked = true;
                self.path(expr, optional);
                self.asked = false;
            }
            _ => self.expr(expr, optional),
        }
    }

    /// Walks an expression. `optional`: what it names may be missing.
    pub(super) fn expr(&mut self, expr: &Expr<'_>, optional: bool) {
        match expr {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.path(expr, optional),
            Expr::Const(_) => {}
            Expr::Slice(s) => {
                self.expr(&s.expr, optional);
                for part in [&s.start, &s.stop, &s.step].into_iter().flatten() {
                    self.expr(part, false);
                }
            }
            Expr::UnaryOp(u) => self.expr(&u.expr, optional),
            Expr::BinOp(b) => {
                self.expr(&b.left, optional);
                self.expr(&b.right, optional);
            }
            Expr::Compare(c) => {
                self.expr(&c.expr, optional);
                for op in &c.ops {
                    self.expr(&op.expr, optional);
                }
            }
            Expr::IfExpr(i) => {
                self.condition(&i.test_expr, optional);
                self.expr(&i.true_expr, optional);
                if let Some(other) = &i.false_expr {
                    self.expr(other, optional);
                }
            }
            Expr::Filter(f) => {
                self.known("filter", f.name, FILTERS);
                let may_miss = matches!(f.name, "default" | "d");
                if let Some(inner) = &f.expr {
                    self.expr(inner, optional || may_miss);
                }
                f.args.iter().for_each(|arg| self.arg(arg));
            }
            Expr::Test(t) => {
                self.known("test", t.name, TESTS);
                let may_miss = matches!(t.name, "defined" | "undefined");
                self.expr(&t.expr, optional || may_miss);
                t.args.iter().for_each(|arg| self.arg(arg));
            }
            Expr::Call(c) => {
                match &c.expr {
                    Expr::Var(var) if self.locals.iter().any(|l| l == var.id) || FUNCTIONS.contains(&var.id) => {}
                    Expr::Var(var) => {
                        let message = format!("there is no function `{}`; there are: {}", var.id, FUNCTIONS.join(", "));
                        self.found.problems.push(message);
                    }
                    Expr::GetAttr(attr) => self.expr(&attr.expr, optional),
                    other => self.expr(other, optional),
                }
                c.args.iter().for_each(|arg| self.arg(arg));
            }
            Expr::List(l) => l.items.iter().for_each(|item| self.expr(item, optional)),
            Expr::Tuple(l) => l.items.iter().for_each(|item| self.expr(item, optional)),
            Expr::Map(m) => {
                m.keys.iter().for_each(|key| self.expr(key, false));
                m.values.iter().for_each(|value| self.expr(value, optional));
            }
        }
    }

    fn arg(&mut self, arg: &CallArg<'_>) {
        match arg {
            CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => {
                self.expr(expr, false);
            }
        }
    }

    /// A chain of names and subscripts down to its root.
    fn path(&mut self, expr: &Expr<'_>, optional: bool) {
        let mut steps: Vec<Option<String>> = Vec::new();
        let mut at = expr;
        let root = loop {
            match at {
                Expr::Var(var) => break var,
                Expr::GetAttr(attr) => {
                    steps.push(Some(attr.name.to_owned()));
                    at = &attr.expr;
                }
                Expr::GetItem(item) => {
                    let key = item.subscript_expr.as_const().and_then(|v| {
                        v.as_str().map(str::to_owned).or_else(|| v.as_i64().filter(|n| *n >= 0).map(|n| n.to_string()))
                    });
                    if key.is_none() {
                        self.expr(&item.subscript_expr, false);
                    }
                    steps.push(key);
                    at = &item.expr;
                }
                other => {
                    // The chain begins with a value of its own, a list or the result of a filter.
                    return self.expr(other, optional);
                }
            }
        };
        if self.locals.iter().any(|local| local == root.id) {
            return;
        }
        steps.reverse();
        let whole = steps.len();
        let path: Vec<String> = steps.into_iter().map_while(|step| step).collect();
        let span = root.span();
        let range = (span.start_offset as usize, span.end_offset as usize);
        match root.id {
            "tasks" if path.is_empty() => {
                let message = "`tasks` is followed by the id of a task, written out: `tasks.first`";
                return self.problem(message);
            }
            "tasks" if whole > 1 => {
                // Any other name may be that of a file; whether it can be is known where the tasks are.
                if path.get(1).is_none() {
                    self.found.problems.push(no_part(&path[0], "[...]"));
                    return;
                }
                self.found.edits.push((range.0, range.1, TASK_PARTS));
            }
            "output" if path.first().is_some_and(|part| PARTS.contains(&part.as_str())) => {
                self.found.edits.push((range.0, range.1, OUTPUT_PARTS));
            }
            _ => {}
        }
        let asked = self.asked && root.id == "loop" && matches!(&path[..], [one] if one != "iteration");
        self.found.refs.push(Ref {
            root: root.id.to_owned(),
            open: path.len() < whole,
            path,
            optional: optional || asked,
        });
    }
}
