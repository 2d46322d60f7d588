//! Workflows that can be run by name here, and new workflow files from templates.

use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};

use super::params::{ListWorkflowsParams, NewWorkflowParams};
use super::source::BUNDLED;
use super::view::{NewWorkflowView, Scope, TemplateRow, WorkflowRow, WorkflowsView};
use crate::core::failure::{Code, Failure};
use crate::front::bundled::{self, BundledScript};
use crate::front::script::{self, Found, Origin, close, discover};
use crate::front::workflow::check;

/// The workflows that can be run by name from `cwd`, those that cannot with the reason, and the templates.
pub(crate) fn list_workflows(params: &ListWorkflowsParams, cwd: &Path, user_home: Option<&Path>) -> WorkflowsView {
    let cwd = params.workspace.as_ref().map_or_else(|| cwd.to_path_buf(), |dir| cwd.join(dir));
    let workflows = discover(&cwd, user_home, BUNDLED).into_iter().map(row).collect();
    WorkflowsView { workflows, templates: templates(), truncated: false }
}

fn row(found: Found) -> WorkflowRow {
    let shadows: Vec<String> = found.shadows.iter().map(|p| p.display().to_string()).collect();
    WorkflowRow {
        name: found.name,
        description: found.meta.map(|m| m.description).unwrap_or_default(),
        path: found.path.display().to_string(),
        scope: match found.scope {
            script::Scope::Project => Scope::Project,
            script::Scope::User => Scope::User,
            script::Scope::Bundled => Scope::Bundled,
        },
        ok: found.problem.is_none(),
        problem: found.problem,
        shadows: Some(shadows).filter(|s| !s.is_empty()),
        args_read: found.args_read,
    }
}

fn templates() -> Vec<TemplateRow> {
    bundled::templates()
        .map(|script| TemplateRow { name: script.template.to_owned(), description: description(script) })
        .collect()
}

fn description(script: &BundledScript) -> String {
    let checked = check(script.source.as_bytes(), &Origin::File(PathBuf::from(script.file_name())));
    checked.meta.map(|m| m.description).unwrap_or_default()
}

/// Writes a template to a new file: below the root unless `allow_absolute`, never over a file unless `force`.
///
/// # Errors
/// `not_found` for an unknown template, `path_refused` for a path out of the root (links included), `exists`, or
/// `invalid_arguments` when the system refuses to write.
pub(crate) fn new_workflow(params: &NewWorkflowParams, cwd: &Path) -> Result<NewWorkflowView, Failure> {
    let name = params.template_name.as_deref().unwrap_or("hello");
    let Some(template) = bundled::bundled(name) else {
        let names = bundled::templates().map(|s| s.template);
        let hint = match close(name, names.clone()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "owf_list_workflows shows the templates".to_owned(),
        };
        return Err(Failure::new(Code::NotFound, format!("there is no template \"{name}\""))
            .hint(hint)
            .allowed(names)
            .with("what", "template"));
    };
    if params.output_path.is_empty() {
        return Err(Failure::new(Code::InvalidArguments, "output_path is empty"));
    }
    let root = params.workspace_root.as_ref().map_or_else(|| cwd.to_path_buf(), |dir| cwd.join(dir));
    let mut target = root.join(&params.output_path);
    if target.is_dir() {
        target.push(template.file_name());
    }
    // Whatever `force` allows, a template never takes the place of a file that is no workflow.
    if target
        .extension()
        .is_none_or(|ending| ending != template.ending && !(template.ending == "yaml" && ending == "yml"))
    {
        let message = format!("output_path must end in .{}, got \"{}\"", template.ending, params.output_path);
        let example = match template.ending {
            "js" => "for example .claude/workflows/my-review.js",
            _ => "for example .owf/workflows/my-review.yaml",
        };
        return Err(Failure::new(Code::InvalidArguments, message).hint(example));
    }
    let free = params.allow_absolute == Some(true);
    let (base, below) = if free { split(&target)? } else { (root.clone(), inside(&root, &target)?) };
    let force = params.force == Some(true);
    write(&base, &below, template.source.as_bytes(), force).map_err(|error| refused(&error, &target, &root, free))?;
    let path = target.display().to_string();
    Ok(NewWorkflowView {
        next: format!("Edit it, then owf_validate_workflow with path \"{path}\""),
        path,
        template: template.template.to_owned(),
        bytes: template.source.len() as u64,
    })
}

/// The path of `target` from `root`, without `..`.
fn inside(root: &Path, target: &Path) -> Result<PathBuf, Failure> {
    let outside = || path_refused(target, root);
    let below = target.strip_prefix(root).map_err(|_| outside())?;
    let plain = below.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if plain && below.file_name().is_some() { Ok(below.to_path_buf()) } else { Err(outside()) }
}

fn path_refused(target: &Path, root: &Path) -> Failure {
    Failure::new(Code::PathRefused, format!("{} is not below the workspace {}", target.display(), root.display()))
        .hint("give a path below the workspace, or allow_absolute: true")
}

/// An allowed absolute path as its nearest existing directory and the rest.
fn split(target: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    let base = target.ancestors().skip(1).find(|dir| dir.is_dir());
    let parts = base.and_then(|base| Some((base.to_path_buf(), target.strip_prefix(base).ok()?.to_path_buf())));
    parts.ok_or_else(|| Failure::new(Code::InvalidArguments, format!("{} is no file path", target.display())))
}

/// Creates the file through a handle of its base directory, which no link below it can leave.
fn write(base: &Path, below: &Path, bytes: &[u8], force: bool) -> std::io::Result<()> {
    let dir = Dir::open_ambient_dir(base, ambient_authority())?;
    if let Some(parent) = below.parent().filter(|p| !p.as_os_str().is_empty()) {
        dir.create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    dir.open_with(below, &options)?.write_all(bytes)
}

fn refused(error: &std::io::Error, target: &Path, root: &Path, free: bool) -> Failure {
    if !free && leads_out(target, root) {
        return path_refused(target, root);
    }
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::new(Code::Exists, format!("{} is there already", target.display()))
                .hint("choose another path, or force: true to write over it")
        }
        _ => Failure::new(Code::InvalidArguments, format!("failed to write {}: {error}", target.display())),
    }
}

/// Whether a link was what stopped the directory handle: the nearest existing part of `target`
/// really lies outside `root`.
fn leads_out(target: &Path, root: &Path) -> bool {
    let Ok(root) = root.canonicalize() else { return false };
    // A link to nothing has no real place; it is its own reason to refuse.
    let Some(there) = target.ancestors().find(|p| p.symlink_metadata().is_ok()) else { return false };
    !there.canonicalize().is_ok_and(|real| real.starts_with(&root))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn ask(output_path: &str) -> NewWorkflowParams {
        NewWorkflowParams { output_path: output_path.to_owned(), ..NewWorkflowParams::default() }
    }

    #[test]
    fn accept_044_a_template_is_written_below_the_root_with_its_directories() {
        let dir = tempfile::tempdir().unwrap();
        let params = NewWorkflowParams { template_name: Some("review".into()), ..ask(".claude/workflows/mine.js") };
        let view = new_workflow(&params, dir.path()).unwrap();
        let path = dir.path().join(".claude/workflows/mine.js");
        let source = bundled::bundled("review").unwrap().source;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), source);
        assert_eq!(
            view,
            NewWorkflowView {
                path: path.display().to_string(),
                template: "review".into(),
                bytes: source.len() as u64,
                next: format!("Edit it, then owf_validate_workflow with path \"{}\"", path.display()),
            }
        );
    }

    #[test]
    fn a_directory_gets_a_file_named_after_the_template() {
        let dir = tempfile::tempdir().unwrap();
        let view = new_workflow(&ask("."), dir.path()).unwrap();
        assert!(view.path.ends_with("hello.js"));
        assert!(dir.path().join("hello.js").is_file());
    }

    #[test]
    fn accept_044_an_existing_file_is_kept_unless_forced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mine.js");
        std::fs::write(&file, "mine").unwrap();
        let failure = new_workflow(&ask("mine.js"), dir.path()).unwrap_err();
        assert_eq!(failure.code, Code::Exists);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
        new_workflow(&NewWorkflowParams { force: Some(true), ..ask("mine.js") }, dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), bundled::BUNDLED[0].source);
    }

    #[test]
    fn accept_044_an_unknown_template_lists_the_known_ones() {
        let dir = tempfile::tempdir().unwrap();
        let params = NewWorkflowParams { template_name: Some("helo".into()), ..ask("x.js") };
        let failure = new_workflow(&params, dir.path()).unwrap_err();
        assert_eq!((failure.code, failure.extra["what"].clone()), (Code::NotFound, "template".into()));
        assert_eq!(failure.allowed.len(), bundled::templates().count());
    }

    #[test]
    fn accept_044_paths_out_of_the_root_are_refused_unless_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let outside = dir.path().join("out.js");
        for path in ["../out.js", "a/../../out.js", outside.to_str().unwrap()] {
            assert_eq!(new_workflow(&ask(path), &root).unwrap_err().code, Code::PathRefused, "{path}");
        }
        assert!(!outside.exists());
        let params = NewWorkflowParams { allow_absolute: Some(true), ..ask(outside.to_str().unwrap()) };
        new_workflow(&params, &root).unwrap();
        assert!(outside.is_file());
    }

    #[test]
    fn only_a_workflow_file_is_written_even_by_force() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["workflow.sqlite", ".git/hooks/post-commit", "x.json", "plain"] {
            let params = NewWorkflowParams { force: Some(true), ..ask(path) };
            let failure = new_workflow(&params, dir.path()).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArguments, "{path}");
            assert!(!dir.path().join(path).exists());
        }
    }

    #[test]
    fn links_that_lead_out_of_the_root_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (root, out) = (dir.path().join("root"), dir.path().join("out"));
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir(&out).unwrap();
        std::os::unix::fs::symlink(&out, root.join("link")).unwrap();
        std::os::unix::fs::symlink(out.join("file.js"), root.join("file.js")).unwrap();
        assert_eq!(new_workflow(&ask("link/x.js"), &root).unwrap_err().code, Code::PathRefused);
        let forced = NewWorkflowParams { force: Some(true), ..ask("file.js") };
        assert_eq!(new_workflow(&forced, &root).unwrap_err().code, Code::PathRefused);
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
    }

    #[test]
    fn bundled_workflows_and_templates_are_listed_with_their_descriptions() {
        let dir = tempfile::tempdir().unwrap();
        let view = list_workflows(&ListWorkflowsParams::default(), dir.path(), None);
        assert_eq!(view.workflows.len(), bundled::BUNDLED.len());
        assert!(view.workflows.iter().all(|w| w.ok && !w.description.is_empty() && w.scope == Scope::Bundled));
        let names: Vec<&str> = view.templates.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names[0], "hello");
        assert!(view.templates.iter().all(|t| !t.description.is_empty()));
    }

    #[test]
    fn a_projects_workflow_hides_a_bundled_one_and_a_broken_one_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let workflows = dir.path().join(".claude/workflows");
        std::fs::create_dir_all(&workflows).unwrap();
        let own = "export const meta = { name: 'hello', description: 'Mine.' }\nreturn args.name\n";
        std::fs::write(workflows.join("mine.js"), own).unwrap();
        std::fs::write(workflows.join("broken.js"), "const x = 1").unwrap();
        let view = list_workflows(&ListWorkflowsParams::default(), dir.path(), None);
        let mine = view.workflows.iter().find(|w| w.name == "hello").unwrap();
        assert_eq!((mine.description.as_str(), mine.scope, mine.ok), ("Mine.", Scope::Project, true));
        assert_eq!(mine.shadows, Some(vec!["bundled:hello".to_owned()]));
        assert_eq!(mine.args_read, ["name"]);
        let broken = view.workflows.iter().find(|w| w.path.ends_with("broken.js")).unwrap();
        assert!(!broken.ok && broken.problem.is_some());
    }
}
