//! How much templates may make: texts, values, and what filters would blow up.

use std::io;

use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};

/// Bytes of the longest text and of the largest value that a template may give.
pub(super) const MOST: usize = 16 << 20;

/// The widest a text may be made, and the most pieces a list may be cut into.
const WIDEST: usize = 10_000;

/// What is said of a text or value that is too large.
pub(super) fn too_large(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{what} would be larger than {} MB", MOST >> 20))
}

/// Takes a text up to the greatest length, and no more: what a template writes is never all in memory before it is measured.
#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    full: bool,
}

impl Text {
    /// The text, unless it was too long.
    pub(super) fn finish(self) -> Result<String, Error> {
        if self.full {
            return Err(too_large("the text"));
        }
        String::from_utf8(self.bytes).map_err(|_| Error::new(ErrorKind::InvalidOperation, "the text is not UTF-8"))
    }
}

impl io::Write for Text {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.full || self.bytes.len() + part.len() > MOST {
            self.full = true;
            return Err(io::Error::other("full"));
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts a bound before the filters whose result can be far larger than what they are given.
pub(super) fn bound(engine: &mut Environment<'static>) {
    engine.add_filter("replace__", filters::replace);
    engine.add_filter("join__", filters::join);
    engine.add_filter("indent__", filters::indent);
    engine.add_filter("format__", filters::format);
    engine.add_filter("batch__", filters::batch);
    engine.add_filter("slice__", filters::slice);
    engine.add_filter("replace", |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
        let args = args.into_values();
        if let [Some(text), Some(from), Some(to)] = [0, 1, 2].map(|at| args.get(at).and_then(Value::as_str)) {
            let grows = to.len().saturating_sub(from.len());
            let places = if grows == 0 { 0 } else { text.matches(from).count() };
            fits(text.len().saturating_add(places.saturating_mul(grows)), "the text that `replace` gives")?;
        }
        state.apply_filter("replace__", &args)
    });
    engine.add_filter("join", |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
        let args = args.into_values();
        let between = args.get(1).and_then(Value::as_str).map_or(0, str::len);
        let mut size = 0_usize;
        for item in args.first().and_then(|list| list.try_iter().ok()).into_iter().flatten() {
            size = size.saturating_add(item.as_str().map_or(1, str::len)).saturating_add(between);
            fits(size, "the text that `join` gives")?;
        }
        state.apply_filter("join__", &args)
    });
    engine.add_filter("indent", |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
        let args = args.into_values();
        narrow("indent", number(&args, 1, "width"))?;
        let lines = args.first().and_then(Value::as_str).map_or(0, |text| text.lines().count());
        let width = number(&args, 1, "width").unwrap_or(4);
        fits(lines.saturating_mul(width), "the text that `indent` gives")?;
        state.apply_filter("indent__", &args)
    });
    for (name, inner, field) in [("batch", "batch__", "linecount"), ("slice", "slice__", "slices")] {
        engine.add_filter(name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            // Pieces that are only cut, and not filled up, are no more than what there is.
            let fills = name == "slice" || args.len() > 2;
            narrow(name, number(&args, 1, field).filter(|_| fills))?;
            state.apply_filter(inner, &args)
        });
    }
    engine.add_filter("format", |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
        let args = args.into_values();
        let form = args.first().and_then(Value::as_str).unwrap_or_default();
        // A `*` takes its number from the arguments; which one, the filter alone knows.
        let (widest, from_arguments) = widths(form);
        let given = args.iter().skip(1).filter(|_| from_arguments).filter_map(Value::as_usize);
        narrow("format", given.chain(widest).max())?;
        state.apply_filter("format__", &args)
    });
}

/// The widest width or precision that the conversions of a form for `format` ask for, and whether one is an argument.
fn widths(form: &str) -> (Option<usize>, bool) {
    let (mut widest, mut from_arguments) = (None, false);
    let mut rest = form;
    while let Some((_, after)) = rest.split_once('%') {
        // A name in parentheses says which argument is meant.
        let after = match after.strip_prefix('(').and_then(|named| named.split_once(')')) {
            Some((_, after)) => after,
            None => after,
        };
        let end = after.find(|c: char| c.is_alphabetic() || c == '%').unwrap_or(after.len());
        let conversion = &after[..end];
        from_arguments |= conversion.contains('*');
        let numbers = conversion.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
        widest = numbers.map(|digits| digits.parse().unwrap_or(usize::MAX)).chain(widest).max();
        rest = after.get(end + 1..).unwrap_or_default();
    }
    (widest, from_arguments)
}

/// A number among the arguments of a filter, by its place or its name.
fn number(args: &[Value], at: usize, name: &str) -> Option<usize> {
    let named = || {
        let last = args.last().filter(|last| last.is_kwargs())?;
        let named: Kwargs = last.clone().try_into().ok()?;
        named.get::<Option<usize>>(name).ok().flatten()
    };
    args.get(at).and_then(Value::as_usize).or_else(named)
}

fn narrow(filter: &str, width: Option<usize>) -> Result<(), Error> {
    match width {
        Some(width) if width > WIDEST => {
            Err(Error::new(ErrorKind::InvalidOperation, format!("`{filter}` takes numbers up to {WIDEST}")))
        }
        _ => Ok(()),
    }
}

fn fits(size: usize, what: &str) -> Result<(), Error> {
    if size > MOST { Err(too_large(what)) } else { Ok(()) }
}
