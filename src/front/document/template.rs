//! Templates and expressions: compiled once, checked for what they speak of, evaluated within bounds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::machinery::{parse, parse_expr};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, ObjectRepr, Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Expression, Output, State, UndefinedBehavior, Value};
use serde_json::Value as Json;

use super::bounds::{self, MOST};
use super::refs::{Found, OUTPUT_PARTS, PARTS, Ref, TASK_PARTS, Walk};
use crate::core::json::canonical;
use crate::front::script::near;

/// Steps one evaluation may take.
const FUEL: u64 = 5_000_000;

/// Levels of the deepest value an expression may give.
const MAX_DEPTH: usize = 100;

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(200);
    engine.set_syntax(syntax());
    engine.set_formatter(write);
    bounds::bound(&mut engine);
    engine.add_filter("default", default);
    engine.add_filter("d", default);
    engine.add_filter("json", json);
    engine.add_filter("tojson", json);
    engine.add_test("defined", |value: &Value| !value.is_undefined() && !is_absent(value));
    engine.add_test("undefined", |value: &Value| value.is_undefined() || is_absent(value));
    engine
});

/// The usual marks; a text ends as it was written, its last line end included.
fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default()
}

/// What has no value, as a task without a result: empty in a text, false in a condition, not defined, replaced by `default`.
#[derive(Debug)]
struct Absent;

impl Object for Absent {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// The value of what has none in this run, or none yet.
pub(super) fn absent() -> Value {
    Value::from_object(Absent)
}

fn is_absent(value: &Value) -> bool {
    value.downcast_object_ref::<Absent>().is_some()
}

/// Texts stand as they are, other values as JSON.
fn write(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = match value.kind() {
        ValueKind::Undefined => return Err(Error::new(ErrorKind::UndefinedError, "a value is missing")),
        ValueKind::String => return value.as_str().map_or(Ok(()), |text| out.write_str(text).map_err(Error::from)),
        _ if is_absent(value) => return Ok(()),
        _ => json_text(&to_json(value)?),
    };
    out.write_str(&text).map_err(Error::from)
}

fn default(value: &Value, other: Option<Value>, also_false: Option<bool>) -> Value {
    let missing = value.is_undefined() || is_absent(value) || (also_false == Some(true) && !value.is_true());
    if missing { other.unwrap_or_else(|| Value::from("")) } else { value.clone() }
}

fn json(value: &Value) -> Result<Value, Error> {
    to_json(value).map(|value| Value::from(json_text(&value)))
}

/// JSON as JavaScript writes it: an integral number has no point.
pub(super) fn json_text(value: &Json) -> String {
    match value {
        Json::Number(_) => canonical(value),
        Json::Array(items) => format!("[{}]", items.iter().map(json_text).collect::<Vec<_>>().join(",")),
        Json::Object(map) => {
            let entry = |(key, item): (&String, &Json)| format!("{}:{}", Json::from(key.as_str()), json_text(item));
            format!("{{{}}}", map.iter().map(entry).collect::<Vec<_>>().join(","))
        }
        Json::Null | Json::Bool(_) | Json::String(_) => value.to_string(),
    }
}

/// A value for templates.
pub(super) fn from_json(value: &Json) -> Value {
    Value::from(Serde(value))
}

/// The JSON of a value.
pub(super) fn to_json(value: &Value) -> Result<Json, Error> {
    fn walk(value: &Value, depth: usize, room: &mut usize) -> Result<Json, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        // What it will take as text, at least.
        let size = value.as_str().map_or(1, |text| text.len() + 2);
        *room = room.checked_sub(size).ok_or_else(|| bounds::too_large("the value"))?;
        Ok(match value.kind() {
            ValueKind::Undefined => return Err(Error::new(ErrorKind::UndefinedError, "a value is missing")),
            ValueKind::None => Json::Null,
            ValueKind::Bool => Json::Bool(value.is_true()),
            ValueKind::Number => number(value)?,
            ValueKind::String => Json::from(value.as_str().unwrap_or_default()),
            ValueKind::Map => {
                let mut map = serde_json::Map::new();
                for key in value.try_iter()? {
                    let item = value.get_item(&key)?;
                    let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                    *room = room.checked_sub(key.len() + 3).ok_or_else(|| bounds::too_large("the value"))?;
                    map.insert(key, walk(&item, depth + 1, room)?);
                }
                Json::Object(map)
            }
            _ if is_absent(value) => Json::Null,
            ValueKind::Seq | ValueKind::Iterable => {
                Json::Array(value.try_iter()?.map(|item| walk(&item, depth + 1, room)).collect::<Result<_, _>>()?)
            }
            kind => return Err(Error::new(ErrorKind::InvalidOperation, format!("a {kind} is no JSON"))),
        })
    }
    walk(value, 1, &mut { MOST })
}

fn number(value: &Value) -> Result<Json, Error> {
    if let Some(whole) = value.as_i64() {
        return Ok(Json::from(whole));
    }
    let float = f64::try_from(value.clone())?;
    if float.fract() == 0.0 && float.abs() < 9e15 {
        return Ok(Json::from(float as i64));
    }
    serde_json::Number::from_f64(float)
        .map(Json::Number)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("{float} is no JSON number")))
}

/// What names stand for while a template is evaluated.
pub(super) trait Scope {
    /// The value of a name other than `tasks`; none when it is not there in this place.
    fn root(&self, name: &str) -> Option<Value>;
    /// The result of a task.
    fn task(&self, id: &str) -> Option<Value>;
    /// The parts of a task's result by name.
    fn task_parts(&self, id: &str) -> Option<Value>;
    /// The parts of the task's own result.
    fn output_parts(&self) -> Option<Value>;
}

/// A compiled value: a text with templates in it, an expression, or JSON with such texts in it.
#[derive(Debug, Clone)]
pub(super) struct Template {
    form: Form,
    refs: Vec<Ref>,
}

#[derive(Clone)]
enum Form {
    /// No template in it.
    Plain(Json),
    /// One expression, which keeps its type.
    Expression(Arc<Expression<'static, 'static>>),
    /// A text around expressions.
    Text(String),
    /// A list.
    List(Vec<Template>),
    /// An object.
    Map(Vec<(String, Template)>),
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(value) => write!(f, "Plain({value})"),
            Self::Expression(_) => f.write_str("Expression"),
            Self::Text(text) => write!(f, "Text({text:?})"),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Map(entries) => f.debug_map().entries(entries.iter().map(|(k, v)| (k, v))).finish(),
        }
    }
}

/// Whether a text holds a template.
pub(super) fn has_marks(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// `{{{{` stands for two braces.
fn unescaped(text: &str) -> String {
    text.replace("{{{{", "{{ '{{' }}")
}

/// The expression in a text that is nothing but `{{ expression }}`.
fn lone_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner);
    let nested = ["{{", "}}", "{%", "{#"].iter().any(|mark| inner.contains(mark));
    (!nested && !inner.trim().is_empty()).then_some(inner)
}

fn reason(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// Why a text cannot be read; with the mark that somebody may not have meant.
fn unread(error: &Error) -> String {
    let reason = reason(error);
    if reason.contains("end of comment") {
        return format!("{reason}: `{{#` begins a comment of the template; {{{{ '{{#' }}}} stands for the characters");
    }
    reason
}

fn edited(source: &str, mut edits: Vec<(usize, usize, &'static str)>) -> String {
    edits.sort_unstable();
    edits.dedup();
    let mut out = source.to_owned();
    for (from, to, text) in edits.into_iter().rev() {
        out.replace_range(from..to, text);
    }
    out
}

impl Template {
    /// The text of one that has no template in it.
    pub(super) fn fixed(&self) -> Option<&str> {
        match &self.form {
            Form::Plain(value) => value.as_str(),
            Form::Expression(_) | Form::Text(_) | Form::List(_) | Form::Map(_) => None,
        }
    }

    /// Its value as far as it is written out: null stands for what a template gives, and the paths to those follow.
    pub(super) fn written_out(&self) -> (Json, Vec<String>) {
        let mut open = Vec::new();
        let value = self.known(&mut String::new(), &mut open);
        (value, open)
    }

    fn known(&self, path: &mut String, open: &mut Vec<String>) -> Json {
        let mut below = |name: &str, item: &Self| {
            let length = path.len();
            path.push('/');
            path.push_str(&name.replace('~', "~0").replace('/', "~1"));
            let value = item.known(path, open);
            path.truncate(length);
            value
        };
        match &self.form {
            Form::Plain(value) => value.clone(),
            Form::List(items) => {
                items.iter().enumerate().map(|(index, item)| below(&index.to_string(), item)).collect()
            }
            Form::Map(entries) => entries.iter().map(|(key, item)| (key.clone(), below(key, item))).collect(),
            Form::Expression(_) | Form::Text(_) => {
                open.push(path.clone());
                Json::Null
            }
        }
    }

    /// A value that is what it says.
    pub(super) fn plain(value: Json) -> Self {
        Self { form: Form::Plain(value), refs: Vec::new() }
    }

    /// A text in which `{{ ... }}` is replaced.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn text(source: &str) -> Result<Self, Vec<String>> {
        if !has_marks(source) {
            return Ok(Self::plain(Json::from(source)));
        }
        let source = unescaped(source);
        let tree = parse(&source, "template", syntax());
        let tree = tree.map_err(|error| vec![unread(&error)])?;
        let mut walk = Walk::default();
        walk.stmt(&tree);
        let Found { refs, problems, edits } = walk.found;
        if !problems.is_empty() {
            return Err(problems);
        }
        let source = edited(&source, edits);
        let engine: &Environment<'_> = &ENGINE;
        engine.template_from_str(&source).map_err(|error| vec![reason(&error)])?;
        Ok(Self { form: Form::Text(source), refs })
    }

    /// An expression, with or without `{{ }}` around it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn expression(source: &str) -> Result<Self, Vec<String>> {
        let source = lone_expression(source).unwrap_or(source);
        if has_marks(source) {
            return Self::text(source);
        }
        let tree = parse_expr(source).map_err(|error| vec![reason(&error)])?;
        let mut walk = Walk::default();
        walk.expr(&tree, false);
        let Found { refs, problems, edits } = walk.found;
        if !problems.is_empty() {
            return Err(problems);
        }
        let compiled = ENGINE.compile_expression_owned(edited(source, edits)).map_err(|error| vec![reason(&error)])?;
        Ok(Self { form: Form::Expression(Arc::new(compiled)), refs })
    }

    /// JSON in whose texts `{{ ... }}` is replaced; a text that is one expression alone keeps the expression's type.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn value(source: &Json) -> Result<Self, Vec<String>> {
        match source {
            Json::String(text) if lone_expression(text).is_some() => Self::expression(text),
            Json::String(text) => Self::text(text),
            Json::Null | Json::Bool(_) | Json::Number(_) => Ok(Self::plain(source.clone())),
            Json::Array(items) => {
                let items = gather(items.iter().map(Self::value))?;
                let refs = items.iter().flat_map(|item| item.refs.clone()).collect();
                Ok(Self { form: Form::List(items), refs })
            }
            Json::Object(map) => {
                let items = gather(map.values().map(Self::value))?;
                let refs = items.iter().flat_map(|item| item.refs.clone()).collect();
                Ok(Self { form: Form::Map(map.keys().cloned().zip(items).collect()), refs })
            }
        }
    }

    /// The paths in it.
    pub(super) fn refs(&self) -> &[Ref] {
        &self.refs
    }

    /// Its value.
    ///
    /// # Errors
    /// One sentence: what is missing and what there is, or what went wrong.
    pub(super) fn eval(&self, scope: &dyn Scope) -> Result<Json, String> {
        match &self.form {
            Form::Plain(value) => Ok(value.clone()),
            Form::List(items) => items.iter().map(|item| item.eval(scope)).collect(),
            Form::Map(entries) => {
                entries.iter().map(|(key, item)| Ok((key.clone(), item.eval(scope)?))).collect::<Result<_, String>>()
            }
            Form::Expression(expression) => {
                let context = self.context(scope)?;
                expression.eval(context).and_then(|value| to_json(&value)).map_err(|error| self.told(&error, scope))
            }
            Form::Text(source) => {
                let context = self.context(scope)?;
                let mut text = bounds::Text::default();
                let engine: &Environment<'_> = &ENGINE;
                let rendered = engine.template_from_str(source).and_then(|t| t.render_captured_to(context, &mut text));
                // That it was full says more than that it could not be written.
                let text = match (rendered, text.finish()) {
                    (Err(error), Ok(_)) => Err(error),
                    (_, finished) => finished,
                };
                text.map(Json::String).map_err(|error| self.told(&error, scope))
            }
        }
    }

    /// Its value as a text.
    ///
    /// # Errors
    /// As [`Template::eval`].
    pub(super) fn eval_text(&self, scope: &dyn Scope) -> Result<String, String> {
        match self.eval(scope)? {
            Json::String(text) => Ok(text),
            other => Ok(json_text(&other)),
        }
    }

    /// Whether its value counts as true.
    ///
    /// # Errors
    /// As [`Template::eval`].
    pub(super) fn eval_true(&self, scope: &dyn Scope) -> Result<bool, String> {
        Ok(match self.eval(scope)? {
            // A text around an expression: what a reader takes for no.
            Json::String(text) => !matches!(text.trim(), "" | "false" | "0" | "null"),
            other => from_json(&other).is_true(),
        })
    }

    /// Why it has no value; of what is missing, what there is in its place.
    fn told(&self, error: &Error, scope: &dyn Scope) -> String {
        if error.kind() != ErrorKind::UndefinedError {
            return reason(error);
        }
        let given = self.given(scope);
        // What must be there by its full name is, or it would have been said before. Of several others nobody knows which.
        let open = self.needed().filter(|found| found.open).filter_map(|found| {
            let value = must_exist(found, &given, scope).ok()?;
            Some(format!("a value is missing: `{}` {}", found.text(), there(&value, "")))
        });
        let named = || self.refs.iter().filter(|r| !r.optional).filter_map(|r| must_exist(r, &given, scope).err());
        only(open).or_else(|| only(named())).unwrap_or_else(|| reason(error))
    }

    /// The names that must be there: those that no condition asks for.
    fn needed(&self) -> impl Iterator<Item = &Ref> {
        let covers = |found: &Ref, other: &Ref| other.root == found.root && found.path.starts_with(&other.path);
        let asked = move |found: &Ref| self.refs.iter().any(|other| other.optional && covers(found, other));
        self.refs.iter().filter(move |found| !found.optional && !asked(found))
    }

    /// What the names in it stand for.
    fn given(&self, scope: &dyn Scope) -> Given<'_> {
        let mut roots: BTreeMap<&str, Value> = BTreeMap::new();
        let mut tasks: BTreeMap<&str, Value> = BTreeMap::new();
        let mut parts: BTreeMap<&str, Value> = BTreeMap::new();
        for found in &self.refs {
            match (found.root.as_str(), found.path.first()) {
                ("tasks", Some(id)) => {
                    if found.path.len() > 1 {
                        if !parts.contains_key(id.as_str())
                            && let Some(part) = scope.task_parts(id)
                        {
                            parts.insert(id, part);
                        }
                    } else if !tasks.contains_key(id.as_str())
                        && let Some(value) = scope.task(id)
                    {
                        tasks.insert(id, value);
                    }
                }
                (root, _) => {
                    if !roots.contains_key(root)
                        && let Some(value) = scope.root(root)
                    {
                        roots.insert(root, value);
                    }
                }
            }
        }
        Given { roots, tasks, parts }
    }

    /// The names it needs, each checked: what must be there is there.
    fn context(&self, scope: &dyn Scope) -> Result<Value, String> {
        let given = self.given(scope);
        for found in self.needed() {
            must_exist(found, &given, scope)?;
        }
        let Given { roots: mut context, tasks, parts } = given;
        if !tasks.is_empty() {
            context.insert("tasks", Value::from(tasks));
        }
        if !parts.is_empty() {
            context.insert(TASK_PARTS, Value::from(parts));
        }
        if self.refs.iter().any(|r| r.root == "output")
            && let Some(own) = scope.output_parts()
        {
            context.insert(OUTPUT_PARTS, own);
        }
        Ok(Value::from(context))
    }
}

/// The one item of an iterator that has no more.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}

/// What the names of one template stand for.
struct Given<'t> {
    roots: BTreeMap<&'t str, Value>,
    tasks: BTreeMap<&'t str, Value>,
    parts: BTreeMap<&'t str, Value>,
}

/// Follows a path to its value, and says what there is where it ends early.
fn must_exist(found: &Ref, given: &Given<'_>, scope: &dyn Scope) -> Result<Value, String> {
    let Given { roots, tasks, parts } = given;
    let is_part = |name: Option<&String>| name.is_some_and(|name| PARTS.contains(&name.as_str()));
    let (start, skip) = match (found.root.as_str(), found.path.first()) {
        ("tasks", Some(id)) if found.path.len() > 1 => (parts.get(id.as_str()).cloned(), 1),
        ("tasks", Some(id)) => (tasks.get(id.as_str()).cloned(), 1),
        ("output", part) if is_part(part) => (scope.output_parts(), 0),
        (root, _) => (roots.get(root).cloned(), 0),
    };
    let mut so_far: Vec<&str> = vec![&found.root];
    so_far.extend(found.path.iter().take(skip).map(String::as_str));
    let Some(mut value) = start else {
        return Err(format!("`{}` is not there", so_far.join(".")));
    };
    for step in found.path.iter().skip(skip) {
        let next = match step.parse::<usize>() {
            Ok(index) if value.kind() != ValueKind::Map => value.get_item(&Value::from(index)),
            _ => value.get_attr(step),
        };
        match next {
            Ok(next) if !next.is_undefined() => value = next,
            _ => return Err(missing(&so_far.join("."), step, &value, &found.text())),
        }
        so_far.push(step);
    }
    Ok(value)
}

fn missing(parent: &str, step: &str, value: &Value, whole: &str) -> String {
    if is_absent(value) {
        return format!("`{whole}` is missing: `{parent}` has no value yet");
    }
    if let (Some(id), "data") = (parent.strip_prefix("tasks."), step) {
        let status = value.get_attr("status").map(|status| status.to_string()).unwrap_or_default();
        return match status.as_str() {
            "done" => format!(
                "`{whole}` is missing: what `{id}` gave is a text without JSON in it; read `{parent}.text`, or ask an agent with a `schema`"
            ),
            _ => format!("`{whole}` is missing: `{id}` ended as {status} and gave nothing"),
        };
    }
    format!("`{whole}` is missing: `{parent}` {}", there(value, step))
}

/// What a value has, that which is closest to `step` first.
fn there(value: &Value, step: &str) -> String {
    let there = match value.kind() {
        ValueKind::Map => {
            let mut keys: Vec<String> =
                value.try_iter().map(|keys| keys.map(|k| k.to_string()).collect()).unwrap_or_default();
            let closest = near(step, keys.iter().map(String::as_str));
            if let Some(closest) = closest.first() {
                let closest = (*closest).to_owned();
                keys.retain(|key| *key != closest);
                keys.insert(0, closest);
            }
            keys.truncate(20);
            if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
        }
        ValueKind::Seq => format!("{} items", value.len().unwrap_or(0)),
        ValueKind::None => "null".to_owned(),
        ValueKind::String => "a text".to_owned(),
        kind => format!("a {kind}"),
    };
    let verb = if matches!(value.kind(), ValueKind::Map | ValueKind::Seq) { "has" } else { "is" };
    format!("{verb} {there}")
}

fn gather(items: impl Iterator<Item = Result<Template, Vec<String>>>) -> Result<Vec<Template>, Vec<String>> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(item) => good.push(item),
            Err(mut errors) => bad.append(&mut errors),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(bad) }
}
