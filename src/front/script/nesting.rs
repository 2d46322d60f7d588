//! A cheap upper bound of how deep the parser will recurse, taken before it runs, without recursion.
//!
//! The parser descends once per open bracket and once per operator of a chain (`a+b+…`, `!!!…`, `a.b.c…`, `x=>y=>…`,
//! `else if …`). This scanner reads the text token by token and counts both; a count ends where a statement or list element
//! surely ends. It errs towards a greater depth.

use crate::front::script::diagnostic::ends_line;

/// The greatest depth that is parsed.
pub(super) const MAX_DEPTH: u32 = 4_000;

/// The greatest depth that is parsed as TypeScript to explain an error.
const MAX_TYPESCRIPT_DEPTH: u32 = 400;

/// The greatest length of a regular expression in bytes; its inside is not scanned.
const MAX_REGEX: usize = 10_000;

/// What the scanner found.
#[derive(Debug, Default)]
pub(super) struct Depth {
    /// The first place that goes too deep.
    pub(super) problem: Option<TooDeep>,
    /// The byte offset after the first bracket pair that stands outside all others: the end of `meta` in a script.
    pub(super) first_close: Option<usize>,
    /// The greatest depth anywhere.
    pub(super) peak: u32,
}

/// A place that goes too deep.
#[derive(Debug)]
pub(super) struct TooDeep {
    pub(super) at: u32,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// Measures `text`.
pub(super) fn measure(text: &str) -> Depth {
    let mut scanner = Scanner::new(text, true);
    scanner.run();
    let mut depth = scanner.depth;
    if scanner.ambiguous && depth.problem.is_none() {
        // A slash could be read two ways, and a wrong guess could hide brackets inside what looks like a string. So every
        // character counts.
        let mut raw = Scanner::new(text, false);
        raw.run();
        if let Some(problem) = raw.depth.problem {
            depth.problem = Some(TooDeep {
                code: "ambiguous_slash",
                message: "a `/` in this text can be read as a division and as a regular expression".to_owned(),
                hint: "put a `;` before the `/`, or parentheses around the expression",
                ..problem
            });
        }
    }
    depth
}

/// Whether `text` may be parsed as TypeScript as well, whose parser tries several readings and so takes time that grows with
/// the square of the depth. Its tokens differ, so every character counts.
pub(super) fn fits_typescript(text: &str, depth: &Depth) -> bool {
    let mut raw = Scanner::new(text, false);
    raw.run();
    depth.peak <= MAX_TYPESCRIPT_DEPTH && raw.depth.problem.is_none()
}

/// What the last token was, as far as the meaning of the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prev {
    /// The beginning, an operator, an opening bracket, a comma: an operand follows.
    Operator,
    /// A word that an operand or statement follows: `return`, `typeof`, `else`.
    Keyword,
    /// A word that opens a parenthesised head: `if`, `for`, `while`, `with`.
    Head,
    /// `.` or `?.`: the next word is a property name.
    Dot,
    /// An operand, or a closing bracket that ends one.
    Operand,
    /// The parenthesis that closes the head of `if`, `for`, `while`, `with`.
    HeadEnd,
    /// A closing brace.
    Brace,
    /// `++` or `--`, before or after an operand.
    Update,
}

/// An open bracket.
#[derive(Debug, Clone, Copy)]
struct Open {
    close: char,
    /// Levels counted inside it since the last sure end.
    chain: u32,
    /// Whether it is the head of `if`, `for`, `while`, `with`.
    head: bool,
    /// Whether it is `${` of a template.
    template: bool,
}

struct Scanner<'s> {
    text: &'s str,
    at: usize,
    lexing: bool,
    open: Vec<Open>,
    total: u32,
    prev: Prev,
    newline: bool,
    ambiguous: bool,
    depth: Depth,
}

const KEYWORDS: &[&str] = &[
    "return",
    "typeof",
    "void",
    "delete",
    "await",
    "new",
    "yield",
    "else",
    "do",
    "throw",
    "case",
    "in",
    "instanceof",
    "of",
    "extends",
    "keyof",
    "readonly",
    "infer",
    "unique",
    "as",
    "satisfies",
    "is",
    "asserts",
    "class",
    "default",
    "async",
    "function",
    "export",
    "import",
    "const",
    "let",
    "var",
    "using",
];
/// Words that continue an expression or statement at the beginning of a line.
const CONTINUE: &[&str] = &["in", "instanceof", "of", "else", "extends", "as", "satisfies", "is", "while"];

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '#' | '\\' | '@') || (!c.is_ascii() && !is_space(c))
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}' | '\u{2060}') || ends_line(c)
}

impl<'s> Scanner<'s> {
    fn new(text: &'s str, lexing: bool) -> Self {
        let root = Open { close: '\0', chain: 0, head: false, template: false };
        let (depth, prev) = (Depth::default(), Prev::Operator);
        Self { text, at: 0, lexing, open: vec![root], total: 0, prev, newline: false, ambiguous: false, depth }
    }

    fn run(&mut self) {
        if self.text.starts_with("#!") {
            self.skip_line();
        }
        while self.depth.problem.is_none() {
            let rest = &self.text[self.at..];
            let Some(c) = rest.chars().next() else { return };
            if is_space(c) {
                self.newline |= ends_line(c);
                self.at += c.len_utf8();
            } else if is_word(c) {
                self.word();
            } else {
                self.punctuation(c, rest.as_bytes().get(1).copied().unwrap_or(0));
            }
        }
    }

    /// Counts one more level in the innermost open bracket.
    fn deeper(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.chain += 1;
        }
        self.total += 1;
        self.depth.peak = self.depth.peak.max(self.total);
        if self.total > MAX_DEPTH && self.depth.problem.is_none() {
            self.depth.problem = Some(TooDeep {
                at: self.at as u32,
                code: "too_deep",
                message: format!("the script is nested deeper than {MAX_DEPTH} levels here"),
                hint: "split the expression: name its parts, or build lists with `join`",
            });
        }
    }

    /// A statement or list element ended: what was chained in it is over.
    fn ended(&mut self) {
        if let Some(open) = self.open.last_mut() {
            self.total -= open.chain;
            open.chain = 0;
        }
    }

    fn word(&mut self) {
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let word = &rest[..length];
        let property = self.prev == Prev::Dot;
        let continues = !property && CONTINUE.contains(&word);
        // A word after an operand on a new line, or after a block, begins a statement.
        if !continues && (self.prev == Prev::Brace || (self.newline && self.prev == Prev::Operand)) {
            self.ended();
        }
        self.prev = if property {
            Prev::Operand
        } else if matches!(word, "if" | "for" | "while" | "with") {
            self.deeper();
            Prev::Head
        } else if word == "await" && self.prev == Prev::Head {
            Prev::Head
        } else if KEYWORDS.contains(&word) {
            self.deeper();
            self.ambiguous |= word == "of" && self.next_is_slash(length);
            Prev::Keyword
        } else {
            Prev::Operand
        };
        self.newline = false;
        self.at += length;
    }

    fn next_is_slash(&self, skip: usize) -> bool {
        self.text[self.at + skip..].trim_start_matches(is_space).starts_with('/')
    }

    fn punctuation(&mut self, c: char, next: u8) {
        let newline = std::mem::take(&mut self.newline);
        match c {
            '/' if self.lexing && next == b'/' => {
                self.skip_line();
                self.newline = newline;
            }
            '/' if self.lexing && next == b'*' => {
                let length = self.text[self.at + 2..].find("*/").map_or(self.text.len() - self.at, |n| n + 4);
                self.newline = newline || self.text[self.at..self.at + length].contains(ends_line);
                self.at += length;
            }
            '/' if self.lexing => self.slash(),
            '"' | '\'' if self.lexing => {
                if newline && self.prev == Prev::Operand {
                    self.ended();
                }
                self.quoted(c);
                self.prev = Prev::Operand;
            }
            '`' if self.lexing => {
                self.deeper();
                self.at += 1;
                self.template();
            }
            '(' | '[' | '{' => self.opens(c),
            ')' | ']' | '}' => self.closes(c),
            ';' | ',' => {
                self.ended();
                self.step(1, Prev::Operator);
            }
            '.' if self.text[self.at..].starts_with("...") => {
                self.deeper();
                self.step(3, Prev::Operator);
            }
            '.' => {
                self.deeper();
                self.step(1, Prev::Dot);
            }
            '?' if next == b'.' => {
                self.deeper();
                self.step(2, Prev::Dot);
            }
            '+' | '-' if next == c as u8 => {
                self.deeper();
                self.step(2, Prev::Update);
            }
            '=' | '!' | '<' | '>' | '&' | '|' | '*' | '?' if next == b'=' || next == b'>' || next == c as u8 => {
                self.deeper();
                // `!!` and `>>` may be two tokens; the second counts by itself.
                let length = if next == b'=' || (c == '=' && next == b'>') { 2 } else { 1 };
                self.step(length, Prev::Operator);
            }
            _ => {
                self.deeper();
                self.step(c.len_utf8(), Prev::Operator);
            }
        }
    }

    fn step(&mut self, length: usize, prev: Prev) {
        self.at += length;
        self.prev = prev;
    }

    fn opens(&mut self, c: char) {
        let close = match c {
            '(' => ')',
            '[' => ']',
            _ => '}',
        };
        // The bracket stays counted where it stands: `f()()()…` and `a[0][0]…` are chains.
        self.deeper();
        let head = c == '(' && self.prev == Prev::Head;
        self.open.push(Open { close, chain: 0, head, template: false });
        self.deeper();
        self.step(1, Prev::Operator);
    }

    fn closes(&mut self, c: char) {
        // A closing bracket that does not fit ends nothing; the parser stops there.
        let fits = self.open.len() > 1 && self.open.last().is_some_and(|open| open.close == c);
        if !fits {
            return self.step(1, Prev::Operand);
        }
        self.ended();
        let Some(open) = self.open.pop() else { return };
        self.at += 1;
        self.prev = match c {
            '}' => Prev::Brace,
            _ if open.head => Prev::HeadEnd,
            _ => Prev::Operand,
        };
        if self.open.len() == 1 && self.depth.first_close.is_none() {
            self.depth.first_close = Some(self.at);
        }
        if open.template && self.lexing {
            self.template();
        }
    }

    /// A slash that begins no comment.
    fn slash(&mut self) {
        let regex = match self.prev {
            Prev::Operand | Prev::Dot => false,
            Prev::Operator | Prev::Keyword | Prev::Head | Prev::HeadEnd => true,
            Prev::Brace | Prev::Update => {
                self.ambiguous = true;
                self.prev == Prev::Brace
            }
        };
        match self.regex_length() {
            Some(length) if regex && length > MAX_REGEX => {
                self.depth.problem = Some(TooDeep {
                    at: self.at as u32,
                    code: "too_deep",
                    message: format!("this regular expression is longer than {MAX_REGEX} bytes"),
                    hint: "split it",
                });
            }
            Some(length) if regex => {
                let body = &self.text[self.at..self.at + length];
                let open = body.bytes().filter(|b| matches!(b, b'(' | b'[' | b'{')).count();
                (0..open).for_each(|_| self.deeper());
                self.step(length, Prev::Operand);
            }
            Some(_) | None => {
                self.deeper();
                self.step(1, Prev::Operator);
            }
        }
    }

    /// The length of the regular expression that begins here, if one ends on this line.
    fn regex_length(&self) -> Option<usize> {
        let mut class = false;
        let mut escaped = false;
        for (at, c) in self.text[self.at..].char_indices().skip(1) {
            match c {
                c if ends_line(c) => return None,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '[' => class = true,
                ']' => class = false,
                '/' if !class => return Some(at + 1),
                _ => {}
            }
        }
        None
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find(ends_line).unwrap_or(rest.len());
    }

    fn quoted(&mut self, quote: char) {
        let mut chars = self.text[self.at..].char_indices().skip(1);
        let mut length = self.text.len() - self.at;
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                // An escaped line end may be two characters.
                if chars.next().is_some_and(|(_, c)| c == '\r') && self.text[self.at + at + 2..].starts_with('\n') {
                    chars.next();
                }
            } else if c == quote || c == '\n' || c == '\r' {
                length = at + 1;
                break;
            }
        }
        self.at += length;
    }

    /// The characters of a template up to its end or to the next `${`.
    fn template(&mut self) {
        let mut chars = self.text[self.at..].char_indices();
        let mut found = None;
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => {
                    chars.next();
                }
                '`' => {
                    found = Some((at + 1, false));
                    break;
                }
                '$' if self.text[self.at + at..].starts_with("${") => {
                    found = Some((at + 2, true));
                    break;
                }
                _ => {}
            }
        }
        let (length, hole) = found.unwrap_or((self.text.len() - self.at, false));
        self.step(length, if hole { Prev::Operator } else { Prev::Operand });
        if hole {
            self.open.push(Open { close: '}', chain: 0, head: false, template: true });
            self.deeper();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Option<&'static str> {
        measure(text).problem.map(|p| p.code)
    }

    #[test]
    fn what_nests_without_end_is_found() {
        for unit in [
            "(",
            "[",
            "{",
            "!",
            "-",
            "a+",
            "a.b.",
            "f()(",
            "x=>",
            "a?b:",
            "typeof ",
            "await\n",
            "if(1)",
            "if(1)\n",
            "else if(1){}",
            "a:\n",
            "x=",
            "`${",
            "a[0]+",
            "new ",
            "do\n",
            "for(;;)\n",
            "() => {",
            "/a/ / ",
            "a ** ",
            "<T>",
            "// x\u{2028}(",
            "/* */(",
            "'\\\r\n'+",
        ] {
            assert_eq!(problem(&unit.repeat(100_000)), Some("too_deep"), "{unit}");
        }
        let chain = format!("f{}", "()".repeat(20_000));
        assert_eq!(problem(&chain), Some("too_deep"));
    }

    #[test]
    fn what_a_wrong_reading_of_a_slash_would_hide_is_found() {
        let deep = "(".repeat(100_000);
        for text in [format!("x = {{}} / ' / {deep}"), format!("x = {{}} / '/' ; {deep}"), format!("++/'/.x;{deep}")] {
            assert!(problem(&text).is_some(), "{}", &text[..30]);
        }
        assert_eq!(problem(&format!("/{}/", "(".repeat(9_000))), Some("too_deep"));
    }

    #[test]
    fn long_ordinary_text_is_not_deep() {
        for unit in [
            "foo(a.b)\n",
            "const x = { a: 1, b: [1, 2] }\n",
            "if (a) { b() } else { c() }\n",
            "a = b ? c : d;\n",
            "// ((((((\n",
            "'(((((';\n",
            "`((((( ${a} (((`;\n",
            "await agent('x', { label: \"y\" })\n",
            "function f(x) {\n  return /[(/]+/.test(x)\n}\n",
            "case 1:\n  f()\n  break\n",
            "log('a')\n'b'\n",
            "export const a = b\n",
            "return x\n",
            "for (const x of y) {\n  f(x)\n}\n",
        ] {
            assert_eq!(problem(&unit.repeat(10_000)), None, "{unit}");
        }
        assert_eq!(problem(&format!("x = [{}]", "'a' + b,\n".repeat(10_000))), None);
    }

    #[test]
    fn the_first_closed_bracket_pair_is_the_literal() {
        let text = "// (x)\nexport const meta = ({ a: ['}'] })\nlog({})";
        assert_eq!(measure(text).first_close, text.find("\nlog"));
    }
}
