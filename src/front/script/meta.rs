//! `export const meta = { ... }`: where it must stand and what it may hold.

use oxc_ast::ast::{
    ArrayExpressionElement, BindingPattern, Declaration, Expression, ObjectExpression, ObjectPropertyKind, Program,
    PropertyKind, Statement, UnaryOperator, VariableDeclaration, VariableDeclarationKind,
};
use oxc_span::{GetSpan, Span};

use crate::front::script::diagnostic::{Diagnostic, Lines, Severity};
use crate::front::script::plan::{Meta, PhaseMeta};

const EXAMPLE: &str = "begin with: export const meta = { name: 'my-workflow', description: 'what it does' }";

/// What was found of the declaration.
pub(super) struct Declared {
    /// The whole statement.
    pub(super) span: Span,
    /// What it says; none when it holds an error.
    pub(super) meta: Option<Meta>,
}

/// Reads the declaration at the beginning of a program.
pub(super) fn read(program: &Program<'_>, lines: &Lines<'_>, out: &mut Vec<Diagnostic>) -> Option<Declared> {
    let mut reader = Reader { lines, out };
    let wanted = |s: &Statement<'_>| declaration(s).is_some_and(declares_meta);
    let Some((index, statement)) = program.body.iter().enumerate().find(|(_, s)| wanted(s)) else {
        reader.missing(program);
        return None;
    };
    let first = program.directives.first().map(GetSpan::span);
    let before = first.or_else(|| program.body.first().filter(|_| index > 0).map(GetSpan::span));
    if let Some(span) = before {
        reader.error("meta_not_first", span, "`export const meta` must be the first statement", EXAMPLE);
    }
    let declared = declaration(statement)?;
    let meta = reader.declaration(declared);
    Some(Declared { span: statement.span(), meta: meta.filter(|_| before.is_none()) })
}

fn declaration<'b, 'a>(statement: &'b Statement<'a>) -> Option<&'b VariableDeclaration<'a>> {
    match statement {
        Statement::ExportDeclaration(export) => match &export.declaration {
            Declaration::VariableDeclaration(declaration) => Some(declaration),
            _ => None,
        },
        _ => None,
    }
}

fn declares_meta(declaration: &VariableDeclaration<'_>) -> bool {
    declaration.declarations.iter().any(|d| matches!(&d.id, BindingPattern::BindingIdentifier(id) if id.name == "meta"))
}

struct Reader<'r, 's> {
    lines: &'r Lines<'s>,
    out: &'r mut Vec<Diagnostic>,
}

impl Reader<'_, '_> {
    fn error(&mut self, code: &str, span: Span, message: impl Into<String>, hint: &str) {
        let mut found = self.lines.diagnostic(Severity::Error, code, (span.start, span.end), message);
        found.hint = (!hint.is_empty()).then(|| hint.to_owned());
        self.out.push(found);
    }

    fn missing(&mut self, program: &Program<'_>) {
        let unexported = program.body.iter().find_map(|s| match s {
            Statement::VariableDeclaration(d) if declares_meta(d) => Some(d.span),
            _ => None,
        });
        if let Some(span) = unexported {
            let head = Span::new(span.start, span.start);
            return self.error("meta_missing", head, "`meta` is not exported", "write `export const meta = { ... }`");
        }
        let at = program.body.first().map_or(0, |s| s.span().start);
        self.error("meta_missing", Span::new(at, at), "the script has no `export const meta = { ... }`", EXAMPLE);
    }

    fn declaration(&mut self, declaration: &VariableDeclaration<'_>) -> Option<Meta> {
        let hint = "write `export const meta = { ... }`";
        if declaration.kind != VariableDeclarationKind::Const {
            let span = Span::new(declaration.span.start, declaration.span.start);
            self.error("meta_form", span, "`meta` must be declared with `const`", hint);
            return None;
        }
        if let Some(second) = declaration.declarations.get(1) {
            self.error("meta_form", second.span, "`meta` must be the only name this statement declares", hint);
            return None;
        }
        let init = declaration.declarations.first()?.init.as_ref()?;
        let Expression::ObjectExpression(object) = init.without_parentheses() else {
            let hint = if runs_on(init) { "put a `;` after the object: the next line goes on with it" } else { hint };
            self.error("meta_form", init.span(), "`meta` must be an object literal", hint);
            return None;
        };
        let before = self.out.len();
        self.object(object);
        let meta = self.fields(object);
        (self.out.len() == before).then_some(meta)
    }

    /// Refuses everything that is not a plain value.
    fn object(&mut self, object: &ObjectExpression<'_>) {
        for property in &object.properties {
            let property = match property {
                ObjectPropertyKind::ObjectProperty(property) => property,
                ObjectPropertyKind::SpreadProperty(spread) => {
                    self.literal_only(spread.span, "a spread is not allowed in `meta`");
                    continue;
                }
            };
            if property.computed {
                self.literal_only(property.key.span(), "a computed key is not allowed in `meta`");
            } else if property.method || property.kind != PropertyKind::Init {
                self.literal_only(property.span, "a method or accessor is not allowed in `meta`");
                continue;
            } else if let Some(key) = property.key.static_name()
                && matches!(&*key, "__proto__" | "constructor" | "prototype")
            {
                self.literal_only(property.key.span(), &format!("the key `{key}` is not allowed in `meta`"));
            }
            if property.shorthand {
                self.literal_only(property.span, "a shorthand property is not allowed in `meta`");
            } else {
                self.value(&property.value);
            }
        }
    }

    fn value(&mut self, value: &Expression<'_>) {
        match value.without_parentheses() {
            Expression::StringLiteral(_)
            | Expression::NumericLiteral(_)
            | Expression::BooleanLiteral(_)
            | Expression::NullLiteral(_)
            | Expression::RegExpLiteral(_)
            | Expression::BigIntLiteral(_) => {}
            Expression::TemplateLiteral(template) => {
                if !template.expressions.is_empty() {
                    self.literal_only(template.span, "a template with `${}` is not allowed in `meta`");
                }
            }
            Expression::UnaryExpression(unary) => {
                let number = matches!(unary.argument.without_parentheses(), Expression::NumericLiteral(_));
                if !(number && unary.operator == UnaryOperator::UnaryNegation) {
                    self.literal_only(unary.span, "only a minus before a number is allowed in `meta`");
                }
            }
            Expression::ArrayExpression(array) => {
                for element in &array.elements {
                    match element {
                        ArrayExpressionElement::SpreadElement(spread) => {
                            self.literal_only(spread.span, "a spread is not allowed in `meta`");
                        }
                        ArrayExpressionElement::Elision(hole) => {
                            self.literal_only(hole.span, "an array with holes is not allowed in `meta`");
                        }
                        other => {
                            if let Some(item) = other.as_expression() {
                                self.value(item);
                            }
                        }
                    }
                }
            }
            Expression::ObjectExpression(object) => self.object(object),
            Expression::Identifier(name) => {
                self.literal_only(name.span, &format!("the name `{}` is not allowed in `meta`", name.name));
            }
            Expression::CallExpression(call) => self.literal_only(call.span, "a call is not allowed in `meta`"),
            Expression::BinaryExpression(binary) => {
                self.literal_only(binary.span, "a computed value is not allowed in `meta`");
            }
            Expression::ArrowFunctionExpression(_) | Expression::FunctionExpression(_) => {
                self.literal_only(value.span(), "a function is not allowed in `meta`");
            }
            _ => self.literal_only(value.span(), "only literals are allowed in `meta`"),
        }
    }

    fn literal_only(&mut self, span: Span, message: &str) {
        let hint = "`meta` is read without running the script: write the value itself";
        self.error("meta_not_literal", span, message, hint);
    }

    fn fields(&mut self, object: &ObjectExpression<'_>) -> Meta {
        let name = self.required(object, "name");
        let description = self.required(object, "description");
        let phases = match get(object, "phases") {
            Some(Expression::ArrayExpression(array)) => {
                let entries = array.elements.iter().filter_map(ArrayExpressionElement::as_expression);
                entries.filter_map(phase).collect()
            }
            Some(_) | None => Vec::new(),
        };
        Meta { name, description, when_to_use: get(object, "whenToUse").and_then(text), phases }
    }

    fn required(&mut self, object: &ObjectExpression<'_>, key: &str) -> String {
        let value = get(object, key);
        if let Some(text) = value.and_then(text)
            && !text.is_empty()
        {
            return text;
        }
        let hint = format!("add {key}: '...'");
        match value {
            None => {
                let head = Span::new(object.span.start, object.span.start + 1);
                self.error("meta_field", head, format!("`meta` has no `{key}`"), &hint);
            }
            // A value that is no literal has been refused already.
            Some(value) if value.is_literal() || matches!(value, Expression::ArrayExpression(_)) => {
                self.error("meta_field", value.span(), format!("`{key}` of `meta` must be a non-empty string"), "");
            }
            Some(Expression::ObjectExpression(value)) => {
                self.error("meta_field", value.span, format!("`{key}` of `meta` must be a non-empty string"), "");
            }
            Some(Expression::TemplateLiteral(value)) if value.expressions.is_empty() => {
                self.error("meta_field", value.span, format!("`{key}` of `meta` must be a non-empty string"), "");
            }
            Some(Expression::UnaryExpression(value)) => {
                self.error("meta_field", value.span, format!("`{key}` of `meta` must be a non-empty string"), "");
            }
            Some(_) => {}
        }
        String::new()
    }
}

/// Whether a value begins with an object literal that the following line was taken to continue.
fn runs_on(value: &Expression<'_>) -> bool {
    let mut value = value;
    for _ in 0..100 {
        value = match value.without_parentheses() {
            Expression::ObjectExpression(_) => return true,
            Expression::CallExpression(call) => &call.callee,
            Expression::TaggedTemplateExpression(tagged) => &tagged.tag,
            Expression::ComputedMemberExpression(member) => &member.object,
            Expression::StaticMemberExpression(member) => &member.object,
            Expression::BinaryExpression(binary) => &binary.left,
            _ => return false,
        };
    }
    false
}

fn phase(entry: &Expression<'_>) -> Option<PhaseMeta> {
    let Expression::ObjectExpression(object) = entry.without_parentheses() else { return None };
    let field = |key| get(object, key).and_then(text);
    Some(PhaseMeta { title: field("title")?, detail: field("detail"), model: field("model") })
}

/// The value of a key; of several the last, as in JavaScript.
pub(super) fn get<'b, 'a>(object: &'b ObjectExpression<'a>, key: &str) -> Option<&'b Expression<'a>> {
    object.properties.iter().rev().find_map(|property| match property {
        ObjectPropertyKind::ObjectProperty(p) if !p.computed && p.key.is_specific_static_name(key) => {
            Some(p.value.without_parentheses())
        }
        ObjectPropertyKind::ObjectProperty(_) | ObjectPropertyKind::SpreadProperty(_) => None,
    })
}

/// The text of a string literal or of a template without `${}`.
pub(super) fn text(value: &Expression<'_>) -> Option<String> {
    match value.without_parentheses() {
        Expression::StringLiteral(literal) => Some(literal.value.to_string()),
        Expression::TemplateLiteral(template) => template.single_quasi().map(|s| s.to_string()),
        _ => None,
    }
}
