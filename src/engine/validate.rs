//! Checking a workflow without running it: what the parser and the lints find, and names that lead nowhere here.

use std::path::Path;

use super::not_here::{NotHere, not_here};
use super::params::ValidateParams;
use super::services::Services;
use super::source::{BUNDLED, Reference, Workflow, diagnostics, load, require};
use super::view::{Diagnostic, ErrorView, Severity, ValidateView, WorkflowMeta};
use crate::core::call::WorkflowTarget;
use crate::core::failure::Failure;
use crate::core::run::{Settings, WorkflowKind};
use crate::front::document;
use crate::front::script::{FindError, Meta, Script, close, find};
use crate::providers::Registry;

/// Checks a workflow. Errors in it make a view with `ok: false`, not a failure.
///
/// # Errors
/// The workflow cannot be found or read.
pub(crate) fn validate(
    params: &ValidateParams,
    cwd: &Path,
    user_home: Option<&Path>,
    registry: &Registry,
    services: Option<&Services>,
) -> Result<ValidateView, Failure> {
    let cwd = params.workspace.as_ref().map_or_else(|| cwd.to_path_buf(), |dir| cwd.join(dir));
    let reference = Reference::new(params.path.as_ref(), params.name.as_ref(), params.script.as_ref());
    let workflow = load(&reference, &cwd, user_home)?;
    Ok(view(&workflow, &cwd, user_home, registry, services))
}

fn view(
    workflow: &Workflow,
    cwd: &Path,
    user_home: Option<&Path>,
    registry: &Registry,
    services: Option<&Services>,
) -> ValidateView {
    let checked = &workflow.checked;
    let mut found = diagnostics(checked);
    let file = workflow.script_path();
    if let Some(script) = &checked.script {
        let own = found.len();
        found.extend(missing_names(script, file.as_ref(), cwd, user_home, registry));
        found.extend(services.into_iter().flat_map(|services| not_configured(script, file.as_ref(), services)));
        found.iter_mut().skip(own).for_each(|one| in_its_file(one, &script.body));
    }
    found.extend(workflow.notices.iter().map(|notice| Diagnostic {
        severity: Severity::Warning,
        code: notice.code.clone(),
        message: notice.message.clone(),
        file: file.clone(),
        line: 1,
        column: 1,
        excerpt: String::new(),
        hint: None,
    }));
    if let Some(services) = services {
        for one in &mut found {
            services.secrets.text(&mut one.excerpt);
            services.secrets.text(&mut one.message);
        }
    }
    found.sort_by_key(|d| d.severity);
    let failure = require(workflow).err();
    let script = checked.script.as_ref();
    let args_read = script.map_or_else(Vec::new, |s| s.args_read.clone());
    let next = match &failure {
        Some(_) => "Correct the errors, then owf_validate_workflow again".to_owned(),
        None if args_read.is_empty() => "owf_dry_run with the same script".to_owned(),
        None => format!("owf_dry_run with the same script and args {{{}}}", args_read.join(", ")),
    };
    ValidateView {
        ok: failure.is_none(),
        error: failure.as_ref().map(ErrorView::from),
        script_path: file,
        script_hash: checked.hash.short(),
        size_bytes: checked.size_bytes,
        kind: workflow.kind(),
        workflow: checked.meta.as_ref().map(meta),
        agent_sites: script.map_or(0, |s| s.sites.len() as u32),
        args_read,
        providers_named: script.map(|s| s.providers_named.clone()).filter(|names| !names.is_empty()),
        diagnostics: found,
        next,
    }
}

fn meta(meta: &Meta) -> WorkflowMeta {
    WorkflowMeta {
        name: meta.name.clone(),
        description: meta.description.clone(),
        when_to_use: meta.when_to_use.clone(),
        phases: meta.phases.iter().map(|p| p.title.clone()).collect(),
    }
}

/// Warnings for providers and child workflows that the source names literally and that are not here. A name may be there
/// when the script runs, so none of them is an error.
fn missing_names(
    script: &Script,
    file: Option<&String>,
    cwd: &Path,
    user_home: Option<&Path>,
    registry: &Registry,
) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let mut warn = |code: &str, named: &str, message: String, hint: Option<String>| {
        let (line, column, excerpt) = place(&script.body, named, script.kind == WorkflowKind::Document);
        let (code, file) = (code.to_owned(), file.cloned());
        out.push(Diagnostic { severity: Severity::Warning, code, message, file, line, column, excerpt, hint });
    };
    for name in &script.providers_named {
        if registry.get(name).is_none() {
            let failure = registry.unknown(name);
            warn("unknown_provider", name, failure.message, failure.hint);
        }
    }
    for target in &script.workflows_named {
        match target {
            WorkflowTarget::Name(name) => match find(name, cwd, user_home, BUNDLED) {
                Ok(_) => {}
                Err(error @ FindError::Ambiguous { .. }) => warn("ambiguous_workflow", name, error.to_string(), None),
                Err(FindError::NotFound { name, nearest, broken: _ }) => {
                    let message = format!("no workflow is named \"{name}\"");
                    let near = close(&name, nearest.iter().map(String::as_str));
                    let hint = near.map(|near| format!("did you mean \"{near}\"?"));
                    warn("unknown_workflow", &name, message, hint);
                }
            },
            WorkflowTarget::Path(path) => {
                let full = cwd.join(path);
                if !full.is_file() {
                    let message = format!("there is no file {}", full.display());
                    let hint = Some("a relative path starts from the working directory".to_owned());
                    warn("unknown_workflow", path, message, hint);
                }
            }
        }
    }
    out
}

/// Warnings for what a document names of the user's configuration and that is not there, or would refuse it: a run would be
/// refused here, and may do elsewhere.
fn not_configured(script: &Script, file: Option<&String>, services: &Services) -> Vec<Diagnostic> {
    // Whether commands are allowed is said when a run is asked for.
    let settings = Settings { allow_commands: true, ..Settings::default() };
    let found = not_here(script, services, Some(&settings)).into_iter().map(|NotHere { failure, at, .. }| {
        let at =
            at.map(|at| (at.line, at.column, excerpt(script.body.lines().nth(at.line as usize - 1)))).or_else(|| {
                let quoted = failure.message.split('`').skip(1).step_by(2);
                { quoted }.map(|name| place(&script.body, name, true)).find(|at| !at.2.is_empty())
            });
        let (line, column, excerpt) = at.unwrap_or((1, 1, String::new()));
        let (severity, code) = (Severity::Warning, "not_configured".to_owned());
        let known = (!failure.allowed.is_empty()).then(|| format!("configured are {}", failure.allowed.join(", ")));
        let hint: Vec<String> = known.into_iter().chain(failure.hint).collect();
        let hint = (!hint.is_empty()).then(|| hint.join("; "));
        Diagnostic { severity, code, message: failure.message, file: file.cloned(), line, column, excerpt, hint }
    });
    found.collect()
}

/// A place in the text of a document with what it includes, as a place in the file that it was read from.
fn in_its_file(found: &mut Diagnostic, whole: &str) {
    if let Some((file, line)) = document::in_part(whole, found.line) {
        (found.file, found.line) = (Some(file), line);
    }
}

/// A line of a source as it is shown: its indentation stays, so that a mark below stands right.
fn excerpt(line: Option<&str>) -> String {
    super::answer::clip(line.unwrap_or_default().trim_end(), 160)
}

/// Line, column and source line of the first string literal that says `named`; the beginning when there is none.
fn place(body: &str, named: &str, document: bool) -> (u32, u32, String) {
    for (index, line) in body.lines().enumerate() {
        let quoted = ['\'', '"', '`'].iter().find_map(|quote| line.find(&format!("{quote}{named}{quote}")));
        if let Some(at) = quoted.or_else(|| plain(line, named).filter(|_| document)) {
            let column = line[..at].chars().count() as u32 + 1;
            return (index as u32 + 1, column, excerpt(Some(line)));
        }
    }
    (1, 1, String::new())
}

/// Where a plain value of a document says it.
fn plain(line: &str, named: &str) -> Option<usize> {
    line.match_indices(named).map(|(at, _)| at).find(|at| {
        let before = line[..*at].trim_end().chars().next_back();
        let after = line[at + named.len()..].trim_start().chars().next();
        matches!(before, Some(':' | '[' | ',' | '-')) && matches!(after, None | Some(',' | ']' | '}' | '#'))
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use super::*;
    use crate::core::failure::Code;
    use crate::providers::fake::FakeProvider;

    fn registry() -> Registry {
        Registry::new(Arc::new(FakeProvider::new(None, None, false)))
    }

    fn validated(script: &str) -> ValidateView {
        let params = ValidateParams { script: Some(script.to_owned()), ..ValidateParams::default() };
        let dir = tempfile::tempdir().unwrap();
        validate(&params, dir.path(), None, &registry(), None).unwrap()
    }

    #[test]
    fn accept_003_a_good_script_shows_its_metadata() {
        let view = validated(
            "export const meta = { name: 'r', description: 'Reviews.', whenToUse: 'Often.', phases: [{ title: 'Scan' }] }\n",
        );
        assert_eq!(
            view.workflow,
            Some(WorkflowMeta {
                name: "r".into(),
                description: "Reviews.".into(),
                when_to_use: Some("Often.".into()),
                phases: vec!["Scan".into()],
            })
        );
        assert!(view.ok);
        assert_eq!((view.error, view.script_path), (None, None));
        assert_eq!(view.next, "owf_dry_run with the same script");
    }

    #[test]
    fn accept_002_a_script_with_an_error_is_a_view_that_says_what_is_wrong() {
        let view = validated("const x = 1\n");
        assert!(!view.ok);
        let error = view.error.unwrap();
        assert_eq!(error.code, Code::InvalidWorkflow.as_str());
        assert!(error.message.starts_with("1 error: 1:1 "), "{}", error.message);
        assert_eq!(view.diagnostics[0].severity, Severity::Error);
    }

    #[test]
    fn names_that_lead_nowhere_are_warned_about_where_they_stand() {
        let script = Script {
            kind: WorkflowKind::Script,
            meta: Meta::default(),
            body: "\n\nawait agent('x', { provider: 'cluade' })\nawait workflow({ scriptPath: 'none.js' })\n".into(),
            sites: Vec::new(),
            fan_outs: Vec::new(),
            args_read: Vec::new(),
            providers_named: vec!["cluade".into(), "FAKE".into()],
            models_named: Vec::new(),
            agent_types_named: Vec::new(),
            workflows_named: vec![WorkflowTarget::Path("none.js".into())],
            asks: None,
            policies: crate::front::script::Policies::default(),
        };
        let found = missing_names(&script, None, Path::new("/nowhere"), None, &registry());
        let rows: Vec<_> = found.iter().map(|d| (d.code.as_str(), d.line, d.column)).collect();
        assert_eq!(rows, [("unknown_provider", 3, 30), ("unknown_workflow", 4, 30)]);
        assert_eq!(found[0].hint.as_deref(), Some("did you mean claude?"));
    }
}
