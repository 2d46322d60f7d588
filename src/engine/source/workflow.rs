//! From a workflow reference (a path, a name or text) to its bytes and what checking them found.

use std::io::{ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::core::failure::{Code, Failure};
use crate::core::run::WorkflowKind;
use crate::engine::view::{self, Notice};
use crate::front::bundled;
use crate::front::script::{self, Bundled, Checked, FindError, Found, Origin, Scope, Script};
use crate::front::workflow::{check, kind_of};

/// Bytes of a file that are read at most; far more than a script may have, so that its real size can be told.
const READ_LIMIT: u64 = 64 << 20;

/// The workflows of the program, by `meta.name`.
pub(crate) const BUNDLED: &[Bundled] = &all_bundled();

const fn all_bundled() -> [Bundled; bundled::BUNDLED.len()] {
    let mut out = [Bundled { name: "", source: "" }; bundled::BUNDLED.len()];
    let mut i = 0;
    while i < out.len() {
        out[i] = Bundled { name: bundled::BUNDLED[i].template, source: bundled::BUNDLED[i].source };
        i += 1;
    }
    out
}

/// How a request names its workflow. `path` wins over `name`, `name` over `script`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reference {
    /// A file, relative to the working directory.
    pub(crate) path: Option<String>,
    /// A `meta.name`.
    pub(crate) name: Option<String>,
    /// The text itself.
    pub(crate) script: Option<String>,
}

impl Reference {
    /// A reference from the three arguments of a request.
    pub(crate) fn new(path: Option<&String>, name: Option<&String>, script: Option<&String>) -> Self {
        Self { path: path.cloned(), name: name.cloned(), script: script.cloned() }
    }
}

/// A workflow as it was found, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workflow {
    /// The bytes, as pinned with a run.
    pub(crate) bytes: Vec<u8>,
    /// Where they come from.
    pub(crate) origin: Origin,
    /// The file; none for inline text and for bundled workflows.
    pub(crate) path: Option<PathBuf>,
    /// What checking found, errors included.
    pub(crate) checked: Checked,
    /// What the caller should know: `argument_ignored`, `shadowed`.
    pub(crate) notices: Vec<Notice>,
}

impl Workflow {
    /// How replies name the source: its file, or `bundled:NAME`; none for inline text.
    pub(crate) fn script_path(&self) -> Option<String> {
        match &self.origin {
            Origin::Inline => None,
            Origin::File(path) => Some(path.display().to_string()),
        }
    }

    /// Script or document.
    pub(crate) fn kind(&self) -> WorkflowKind {
        kind_of(&self.bytes, &self.origin)
    }

    /// The name stack frames and diagnostics use for the source.
    pub(crate) fn file_name(&self) -> String {
        let name = self.path.as_deref().and_then(Path::file_name);
        name.map_or_else(|| "workflow.js".to_owned(), |name| name.to_string_lossy().into_owned())
    }
}

/// Finds and checks a workflow. A syntax error is no failure here: it stands in [`Workflow::checked`].
///
/// # Errors
/// No reference, an unknown or ambiguous name, or a file that cannot be read.
pub(crate) fn load(reference: &Reference, cwd: &Path, user_home: Option<&Path>) -> Result<Workflow, Failure> {
    let Reference { path, name, script } = reference;
    let mut workflow = if let Some(path) = path {
        from_path(path, cwd)?
    } else if let Some(name) = name {
        from_name(name, cwd, user_home)?
    } else if let Some(script) = script {
        let (bytes, origin) = (script.clone().into_bytes(), Origin::Inline);
        let checked = check(&bytes, &origin);
        Workflow { bytes, origin, path: None, checked, notices: Vec::new() }
    } else {
        return Err(Failure::new(Code::InvalidArguments, "no workflow is named: give path, name or script")
            .hint("owf_list_workflows shows the names that can be used here"));
    };
    workflow.notices.extend(ignored(reference));
    if let Some(script) = workflow.checked.script.as_ref().filter(|s| s.kind == WorkflowKind::Document) {
        // What a document includes is pinned with it.
        workflow.bytes = script.body.clone().into_bytes();
    }
    Ok(workflow)
}

/// The script, when nothing keeps it from running.
///
/// # Errors
/// `invalid_workflow` with all diagnostics.
pub(crate) fn require(workflow: &Workflow) -> Result<&Script, Failure> {
    if let Some(script) = &workflow.checked.script {
        return Ok(script);
    }
    let errors: Vec<_> = workflow.checked.errors().collect();
    let message = match errors.first() {
        Some(first) => {
            let count = if errors.len() == 1 { "1 error".to_owned() } else { format!("{} errors", errors.len()) };
            format!("{count}: {}:{} {}", first.line, first.column, first.message)
        }
        None => "the workflow cannot be read".to_owned(),
    };
    let mut failure = Failure::new(Code::InvalidWorkflow, message);
    failure.hint = errors.first().and_then(|first| first.hint.clone());
    let found = serde_json::to_value(diagnostics(&workflow.checked)).unwrap_or(Value::Null);
    Err(failure.with("diagnostics", found))
}

/// The findings as replies show them, errors first.
pub(crate) fn diagnostics(checked: &Checked) -> Vec<view::Diagnostic> {
    let mut out: Vec<view::Diagnostic> = checked.diagnostics.iter().map(shown).collect();
    out.sort_by_key(|d| d.severity);
    out
}

fn shown(found: &script::Diagnostic) -> view::Diagnostic {
    view::Diagnostic {
        severity: match found.severity {
            script::Severity::Error => view::Severity::Error,
            script::Severity::Warning => view::Severity::Warning,
            script::Severity::Note => view::Severity::Note,
        },
        code: found.code.clone(),
        message: found.message.clone(),
        file: found.file.clone(),
        line: found.line,
        column: found.column,
        // As it stands in the file, so that a column is a place in it.
        excerpt: match found.excerpt_column {
            Some(first) if first <= 120 => " ".repeat(first as usize - 1) + &found.excerpt,
            _ => found.excerpt.clone(),
        },
        hint: found.hint.clone(),
    }
}

fn from_path(path: &str, cwd: &Path) -> Result<Workflow, Failure> {
    let full: PathBuf = cwd.join(path).components().filter(|part| *part != Component::CurDir).collect();
    let bytes = read(&full)?;
    let origin = Origin::File(full.clone());
    let mut checked = check(&bytes, &origin);
    if checked.script.is_none() && !is_named_like_one(&full) {
        conceal(&mut checked, &full);
    }
    Ok(Workflow { bytes, origin, path: Some(full), checked, notices: Vec::new() })
}

/// Whether a file has the ending of a workflow.
fn is_named_like_one(path: &Path) -> bool {
    let ending = path.extension().and_then(std::ffi::OsStr::to_str).unwrap_or_default().to_lowercase();
    ["js", "mjs", "ts", "mts", "yaml", "yml", "json"].contains(&ending.as_str())
}

/// Leaves of the findings only that there are some: any file can be named, and one that is no workflow may hold secrets.
fn conceal(checked: &mut Checked, path: &Path) {
    let errors = checked.diagnostics.iter().filter(|found| found.severity == script::Severity::Error);
    let first = errors.take(1).cloned().map(|found| script::Diagnostic {
        message: format!("{} is no workflow, and nothing of it is shown", path.display()),
        excerpt: String::new(),
        excerpt_column: None,
        hint: Some("a script ends in .js, .mjs or .ts, a document in .yaml, .yml or .json".to_owned()),
        ..found
    });
    checked.diagnostics = first.collect();
    checked.meta = None;
}

/// Reads a file that a request names.
///
/// # Errors
/// `not_found` (what: file) when it is not there, else `invalid_arguments` with the system's reason.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    match read_bounded(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let failure =
                Failure::new(Code::NotFound, format!("there is no file {}", path.display())).with("what", "file");
            let near = neighbours(path);
            Err(match near.first() {
                Some(first) => failure.hint(format!("did you mean {first}?")).allowed(near),
                None => failure.hint("a relative path starts from the working directory"),
            })
        }
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            Err(Failure::new(Code::InvalidArguments, format!("{} is a directory", path.display()))
                .hint("name a file in it"))
        }
        Err(error) => Err(Failure::new(Code::InvalidArguments, format!("failed to read {}: {error}", path.display()))),
    }
}

/// What can be read of a file, as far as any workflow may be long. A pipe or a device by its own name is refused: it might
/// never be opened, or never end. What a shell hands over as `/dev/fd/N` is taken.
pub(in crate::engine) fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let kind = std::fs::metadata(path)?.file_type();
    let handed_over =
        ["/dev/fd", "/proc/self/fd"].iter().any(|dir| path.starts_with(dir)) || path == Path::new("/dev/stdin");
    if !kind.is_file() && !kind.is_dir() && !handed_over {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(READ_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Files of the same directory whose names are close, nearest first.
fn neighbours(path: &Path) -> Vec<String> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().map(|n| n.to_string_lossy())) else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let names = entries.flatten().filter(|e| e.path().is_file()).map(|e| e.file_name().to_string_lossy().into_owned());
    let names: Vec<String> = names.take(2_000).collect();
    let near = script::near(&name, names.iter().map(String::as_str));
    near.into_iter().take(5).map(|near| dir.join(near).display().to_string()).collect()
}

fn from_name(name: &str, cwd: &Path, user_home: Option<&Path>) -> Result<Workflow, Failure> {
    let found = script::find(name, cwd, user_home, BUNDLED).map_err(|error| not_found(error, cwd))?;
    let origin = Origin::File(found.path.clone());
    let checked = check(&found.bytes, &origin);
    let notices = shadowed(name, &found).into_iter().collect();
    let path = (found.scope != Scope::Bundled).then_some(found.path);
    Ok(Workflow { bytes: found.bytes, origin, path, checked, notices })
}

fn shadowed(name: &str, found: &Found) -> Option<Notice> {
    if found.shadows.is_empty() {
        return None;
    }
    let hidden: Vec<String> = found.shadows.iter().map(|p| p.display().to_string()).collect();
    let message = format!("\"{name}\" is {}; it hides {}", found.path.display(), hidden.join(", "));
    Some(Notice::new("shadowed", message))
}

fn not_found(error: FindError, cwd: &Path) -> Failure {
    match error {
        FindError::NotFound { name, nearest, broken } => {
            let failure = Failure::new(Code::NotFound, format!("no workflow is named \"{name}\""))
                .with("what", "workflow")
                .allowed(nearest.clone());
            if let Some((path, why)) = broken.first() {
                return failure
                    .hint(format!("{} may be meant, but {why}; owf_validate_workflow shows where", path.display()));
            }
            // A file or directory of that name, with or without its ending, is more likely meant than another name.
            if let Some(file) = ["", ".js", ".mjs", ".yaml", ".yml", ".json"]
                .iter()
                .find(|end| cwd.join(format!("{name}{end}")).is_file())
            {
                return failure.hint(format!("did you mean the file ./{name}{file}?"));
            }
            if !name.is_empty() && cwd.join(&name).is_dir() {
                return failure.hint(format!("{name} is a directory: name a file in it"));
            }
            match script::close(&name, nearest.iter().map(String::as_str)) {
                Some(near) => failure.hint(format!("did you mean \"{near}\"?")),
                None => {
                    failure.hint("owf_list_workflows shows what can be run by name; a file is named with its ending")
                }
            }
        }
        FindError::Ambiguous { name, paths } => {
            let paths: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
            let hint = paths.first().map_or_else(String::new, |first| format!("name the file: {first}"));
            Failure::new(Code::Ambiguous, format!("two workflows are named \"{name}\" in one directory"))
                .hint(hint)
                .allowed(paths)
        }
    }
}

/// The arguments that lost.
fn ignored(reference: &Reference) -> Option<Notice> {
    let given = [
        ("path", reference.path.is_some()),
        ("name", reference.name.is_some()),
        ("script", reference.script.is_some()),
    ];
    let given: Vec<&str> = given.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect();
    let (used, lost) = given.split_first()?;
    if lost.is_empty() {
        return None;
    }
    Some(Notice::new("argument_ignored", format!("{} was given, so {} was ignored", used, lost.join(" and "))))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const GOOD: &str = "export const meta = { name: 'one', description: 'First.' }\nreturn 1\n";

    fn by(path: Option<&str>, name: Option<&str>, script: Option<&str>) -> Reference {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Reference { path: own(path), name: own(name), script: own(script) }
    }

    #[test]
    fn bundled_workflows_are_named_by_their_templates() {
        assert_eq!(BUNDLED.len(), bundled::BUNDLED.len());
        assert_eq!(BUNDLED[0].name, "hello");
    }

    #[test]
    fn dialect_56_a_path_wins_over_a_name_and_a_name_over_text() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("w.js"), GOOD).unwrap();
        let found = load(&by(Some("w.js"), Some("hello"), Some("x")), dir.path(), None).unwrap();
        assert_eq!(found.path, Some(dir.path().join("w.js")));
        assert_eq!(found.checked.meta.clone().unwrap().name, "one");
        let note = Notice::new("argument_ignored", "path was given, so name and script was ignored");
        assert_eq!(found.notices, [note]);
    }

    #[test]
    fn text_alone_is_inline() {
        let found = load(&by(None, None, Some(GOOD)), Path::new("/"), None).unwrap();
        assert_eq!(
            (found.origin.clone(), found.script_path(), found.notices.clone()),
            (Origin::Inline, None, Vec::new())
        );
        assert_eq!(found.file_name(), "workflow.js");
        assert!(require(&found).is_ok());
    }

    #[test]
    fn a_syntax_error_is_kept_for_the_caller_and_refused_by_require_with_all_diagnostics() {
        let text = "export const meta = { name: 'one', description: 'First.' }\nconst x = \n";
        let found = load(&by(None, None, Some(text)), Path::new("/"), None).unwrap();
        assert!(found.checked.script.is_none());
        let failure = require(&found).unwrap_err();
        assert_eq!(failure.code, Code::InvalidWorkflow);
        assert!(failure.message.starts_with("1 error: "), "{}", failure.message);
        assert_eq!(failure.extra["diagnostics"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_missing_file_is_not_found_and_a_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let missing = load(&by(Some("none.js"), None, None), dir.path(), None).unwrap_err();
        assert_eq!((missing.code, missing.extra["what"].clone()), (Code::NotFound, "file".into()));
        let directory = load(&by(Some("."), None, None), dir.path(), None).unwrap_err();
        assert_eq!(directory.code, Code::InvalidArguments);
    }

    #[test]
    fn no_reference_is_refused() {
        let failure = load(&Reference::default(), Path::new("/"), None).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArguments);
    }

    #[test]
    fn an_unknown_name_lists_the_nearest() {
        let failure = not_found(
            FindError::NotFound { name: "helo".into(), nearest: vec!["hello".into()], broken: Vec::new() },
            Path::new("/none"),
        );
        assert_eq!(failure.code, Code::NotFound);
        assert_eq!(failure.message, "no workflow is named \"helo\"");
        assert_eq!(failure.hint.as_deref(), Some("did you mean \"hello\"?"));
        assert_eq!(failure.allowed, ["hello"]);
        assert_eq!(failure.extra["what"], "workflow");
        let broken = vec![(PathBuf::from("/p/helo.js"), "it does not parse".to_owned())];
        let failure =
            not_found(FindError::NotFound { name: "helo".into(), nearest: Vec::new(), broken }, Path::new("/none"));
        assert_eq!(
            failure.hint.as_deref(),
            Some("/p/helo.js may be meant, but it does not parse; owf_validate_workflow shows where")
        );
    }

    #[test]
    fn an_ambiguous_name_lists_its_files() {
        let paths = vec![PathBuf::from("/p/a.js"), PathBuf::from("/p/b.js")];
        let failure = not_found(FindError::Ambiguous { name: "x".into(), paths }, Path::new("/none"));
        assert_eq!(failure.code, Code::Ambiguous);
        assert_eq!(failure.message, "two workflows are named \"x\" in one directory");
        assert_eq!(failure.allowed, ["/p/a.js", "/p/b.js"]);
    }
}
