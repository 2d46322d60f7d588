//! The report as one HTML file: no script, nothing from elsewhere, and every value escaped by the template engine.

use std::sync::LazyLock;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use crate::core::failure::{Code, Failure};

use super::facts::Facts;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");

/// The template without the line ends of lines that only steer it.
static COMPACT: LazyLock<String> = LazyLock::new(|| {
    let mut out = String::with_capacity(PAGE.len());
    for line in PAGE.lines() {
        out.push_str(line);
        if !(line.starts_with("{%") && line.ends_with("%}")) {
            out.push('\n');
        }
    }
    out
});

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::new();
    env.set_auto_escape_callback(|_| AutoEscape::Html);
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.add_global("style", Value::from_safe_string(STYLE.to_owned()));
    env
});

/// The whole document.
pub(super) fn render(facts: &Facts) -> Result<String, Failure> {
    TEMPLATES
        .render_str(&COMPACT, Value::from(Serde(facts)))
        .map_err(|error| Failure::new(Code::Internal, format!("the report has no form: {error:#}")))
}
