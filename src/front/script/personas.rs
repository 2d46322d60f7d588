//! Agent personas: markdown files with front matter, of the project, of the user, and built in.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::core::ids::Hash;
use crate::front::script::discover::{directories, files, read_bounded};

/// The greatest size of a persona file in bytes.
const MAX_FILE: u64 = 262_144;

/// A persona.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonaFile {
    /// Its name, what `agentType` says.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// Its tools, none = all.
    pub tools: Option<Vec<String>>,
    /// Its model as written, none = the default.
    pub model: Option<String>,
    /// The system prompt.
    pub system: String,
    /// The hash of the file's bytes; of a built-in one, of its text.
    pub source_hash: Hash,
    /// The file; none = built in.
    pub path: Option<PathBuf>,
}

/// A persona file that was left out, or read only in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonaWarning {
    /// The file.
    pub path: PathBuf,
    /// One sentence.
    pub message: String,
}

/// A persona that exists without a file: name, description, tools, system prompt.
type BuiltIn = (&'static str, &'static str, Option<&'static [&'static str]>, &'static str);

/// The built-in personas. Their texts are pinned by hash with a run, so they may change between versions.
const BUILT_IN: &[BuiltIn] = &[
    ("general-purpose", "Any task of several steps, reading and writing.", None, GENERAL),
    ("Explore", "Finds its way in a code base and reports; changes nothing.", Some(READ_ONLY), EXPLORE),
    ("Plan", "Works out how to make a change and in which order; changes nothing.", Some(READ_ONLY), PLAN),
];

const READ_ONLY: &[&str] = &["Read", "Grep", "Glob", "Bash"];

const GENERAL: &str = "You carry out one task on your own, from beginning to end. Look at what is there before you act. \
Do what was asked and nothing beside it. When something cannot be done, say what and why. Your last message is your whole \
answer: it goes to a program, so give the result without greetings or questions.";

const EXPLORE: &str = "You explore a code base to answer one question. You only read: create, change and delete nothing, and \
run no command that does. Search widely first, then read what matters. Name files with their paths and lines. Your last message \
is your whole answer: give what you found, and say what you looked for and did not find.";

const PLAN: &str = "You plan a change; somebody else makes it. You only read: create, change and delete nothing, and run no \
command that does. Read the code that the change touches, then give the steps in order, each with the files it concerns, and the \
risks. Your last message is your whole answer.";

/// All personas, each name once: of several the nearest, built-in ones last.
pub fn personas(cwd: &Path, user_home: Option<&Path>) -> Vec<PersonaFile> {
    personas_and_warnings(cwd, user_home).0
}

/// [`personas`], and what was wrong with files.
pub fn personas_and_warnings(cwd: &Path, user_home: Option<&Path>) -> (Vec<PersonaFile>, Vec<PersonaWarning>) {
    let mut out: Vec<PersonaFile> = Vec::new();
    let mut warnings = Vec::new();
    for (directory, _) in directories(cwd, user_home, &[".claude/agents"]) {
        for path in files(&directory).into_iter().filter(|p| p.extension().is_some_and(|e| e == "md")) {
            let mut problems = Vec::new();
            if let Some(persona) = read(&path, &mut problems)
                && !out.iter().any(|known| known.name == persona.name)
            {
                out.push(persona);
            }
            warnings.extend(problems.into_iter().map(|message| PersonaWarning { path: path.clone(), message }));
        }
    }
    for (name, description, tools, system) in BUILT_IN {
        if !out.iter().any(|known| known.name == *name) {
            out.push(PersonaFile {
                name: (*name).to_owned(),
                description: (*description).to_owned(),
                tools: tools.map(|list| list.iter().map(|t| (*t).to_owned()).collect()),
                model: None,
                system: (*system).to_owned(),
                source_hash: Hash::of(system),
                path: None,
            });
        }
    }
    (out, warnings)
}

fn read(path: &Path, problems: &mut Vec<String>) -> Option<PersonaFile> {
    let bytes = match read_bounded(path, MAX_FILE) {
        Ok(bytes) if bytes.len() as u64 > MAX_FILE => {
            problems.push(format!("left out: it has more than {MAX_FILE} bytes"));
            return None;
        }
        Ok(bytes) => bytes,
        Err(error) => {
            problems.push(format!("left out: it cannot be read: {error}"));
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let Some((front, body)) = split(text) else {
        problems.push("left out: it does not begin with front matter between `---` lines".to_owned());
        return None;
    };
    let fields = Fields::parse(front, problems);
    let name = if let Some(name) = fields.text("name") {
        name
    } else {
        let stem = path.file_stem()?.to_string_lossy().into_owned();
        problems.push(format!("it has no name: {stem:?} is used"));
        stem
    };
    Some(PersonaFile {
        name,
        description: fields.text("description").unwrap_or_default(),
        tools: fields.list("tools"),
        model: fields.text("model").filter(|m| m != "inherit"),
        system: body.trim().to_owned(),
        source_hash: Hash::of(&bytes),
        path: Some(path.to_owned()),
    })
}

/// Front matter and body.
fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("---")?;
    let rest = rest.trim_start_matches([' ', '\t']).strip_prefix('\n')?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some((&rest[..at], &rest[at + line.len()..]));
        }
        at += line.len();
    }
    None
}

/// The fields of front matter.
struct Fields(serde_json::Map<String, Value>);

impl Fields {
    /// Reads YAML; what is none is read line by line, as such files are often written by hand.
    fn parse(front: &str, problems: &mut Vec<String>) -> Self {
        match serde_saphyr::from_str::<Value>(front) {
            Ok(Value::Object(map)) => Self(map),
            Ok(Value::Null) => Self(serde_json::Map::new()),
            Ok(_) | Err(_) => {
                problems.push("its front matter is not valid YAML: it was read line by line".to_owned());
                Self(lines(front))
            }
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Value::String(text) => Some(text.trim().to_owned()).filter(|t| !t.is_empty()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn list(&self, key: &str) -> Option<Vec<String>> {
        let items: Vec<String> = match self.0.get(key)? {
            Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Value::String(text) => comma_separated(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
        };
        let items: Vec<String> = items.iter().map(|i| i.trim().to_owned()).filter(|i| !i.is_empty()).collect();
        (!items.is_empty() && items != ["*"]).then_some(items)
    }
}

/// Splits at commas outside parentheses: `Bash(git log, git diff), Read` is two tools.
fn comma_separated(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut depth = 0_u32;
    for c in text.trim().trim_start_matches('[').trim_end_matches(']').chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match out.last_mut() {
            Some(last) if c != ',' || depth > 0 => last.push(c),
            _ => out.push(String::new()),
        }
    }
    out
}

fn lines(front: &str) -> serde_json::Map<String, Value> {
    let mut out = serde_json::Map::new();
    let mut last: Option<String> = None;
    for line in front.lines() {
        let key = line.split_once(':').filter(|(key, _)| {
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        });
        if let Some((key, value)) = key {
            let value = value.trim();
            let bare = value.strip_prefix(['"', '\'']).and_then(|v| v.strip_suffix(['"', '\''])).unwrap_or(value);
            out.insert(key.to_owned(), Value::String(bare.to_owned()));
            last = Some(key.to_owned());
        } else if let Some(Value::String(text)) = last.as_ref().and_then(|key| out.get_mut(key)) {
            text.push('\n');
            text.push_str(line.trim());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn put(root: &Path, path: &str, text: &str) -> PathBuf {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn the_nearest_persona_of_a_name_counts_and_built_in_ones_come_last() {
        let dir = tempfile::tempdir().unwrap();
        let (root, home) = (dir.path().join("repo"), dir.path().join("home"));
        std::fs::create_dir_all(root.join(".git")).unwrap();
        std::fs::create_dir_all(root.join("sub")).unwrap();
        let text = "---\nname: critic\ndescription: finds faults\ntools: Read, Bash(git log, git diff)\nmodel: opus\n---\n\nBe strict.\n";
        let path = put(&root, ".claude/agents/c.md", text);
        put(&home, ".claude/agents/c.md", "---\nname: critic\n---\nmild");
        put(&home, ".claude/agents/plan.md", "---\r\nname: Plan\r\ntools: [Read]\r\nmodel: inherit\r\n---\r\nmine\r\n");
        let found = personas(&root.join("sub"), Some(&home));
        let names: Vec<&str> = found.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["critic", "Plan", "general-purpose", "Explore"]);
        let critic = PersonaFile {
            name: "critic".to_owned(),
            description: "finds faults".to_owned(),
            tools: Some(vec!["Read".to_owned(), "Bash(git log, git diff)".to_owned()]),
            model: Some("opus".to_owned()),
            system: "Be strict.".to_owned(),
            source_hash: Hash::of(text),
            path: Some(path),
        };
        assert_eq!(found[0], critic);
        assert_eq!((found[1].tools.clone(), found[1].model.clone()), (Some(vec!["Read".to_owned()]), None));
        assert_eq!(found[1].system, "mine");
    }

    #[test]
    fn junk_is_tolerated_with_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let agents = |name: &str| format!(".claude/agents/{name}");
        put(dir.path(), &agents("a.md"), "no front matter");
        put(dir.path(), &agents("b.md"), "---\nname: b\ndescription: use it: when \"x\nExample: <y>\n---\nbody");
        put(dir.path(), &agents("c.md"), "---\ndescription: nameless\n---\n");
        put(dir.path(), &agents("d.md"), "---\nnever: closed\n");
        put(dir.path(), &agents("e.txt"), "---\nname: e\n---\n");
        let (found, warnings) = personas_and_warnings(dir.path(), None);
        let names: Vec<&str> = found.iter().filter(|p| p.path.is_some()).map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["b", "c"]);
        assert_eq!(warnings.len(), 4);
        assert!(found[0].description.starts_with("use it: when"), "{}", found[0].description);
    }
}
