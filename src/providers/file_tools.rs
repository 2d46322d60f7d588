//! Which of owf's own file tools an attempt may use, for services that have none.

use super::provider::AttemptRequest;

/// The tools, by their names and by those that agent programs have for the same.
const READ: &[&str] = &["read_file", "read"];
const WRITE: &[&str] = &["write_file", "write", "edit", "multiedit"];
const LIST: &[&str] = &["list_files", "glob", "ls"];
const SEARCH: &[&str] = &["search_files", "grep"];

/// The file tools of one attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTools {
    /// `read_file`.
    pub read: bool,
    /// `list_files`.
    pub list: bool,
    /// `search_files`.
    pub search: bool,
    /// `write_file`.
    pub write: bool,
    /// What a reader should know: tools that were asked for and are not there.
    pub warnings: Vec<String>,
}

impl FileTools {
    /// Those that were asked for by name. Without names: those that read when the call has a scope or a worktree, and the one
    /// that writes when it may write. Writing takes a write scope or a worktree in any case.
    pub fn of(request: &AttemptRequest) -> Self {
        let ask = &request.spec.ask;
        let scoped = |scope: &Option<Vec<String>>| scope.as_ref().is_some_and(|paths| !paths.is_empty());
        let may_write = ask.isolation.is_some() || scoped(&ask.write_scope);
        let mut out = Self::default();
        match request.tools() {
            None => {
                let reads = may_write || scoped(&ask.read_scope);
                out = Self { read: reads, list: reads, search: reads, write: may_write, warnings: Vec::new() };
            }
            Some(names) => {
                for name in names {
                    // Tools of the configuration are another's business.
                    let configured = request.spec.tools.iter().any(|tool| tool.name == *name);
                    if !out.set(name, true) && !configured {
                        out.warnings.push(format!("there is no tool {name} for this provider"));
                    }
                }
                if out.write && !may_write {
                    out.write = false;
                    out.warnings.push("write_file needs a writeScope or isolation \"worktree\"".to_owned());
                }
            }
        }
        for name in ask.disallowed_tools.iter().flatten() {
            out.set(name, false);
        }
        out
    }

    fn set(&mut self, name: &str, on: bool) -> bool {
        // `Bash(git *)` and the like name a tool with a pattern.
        let name = name.split('(').next().unwrap_or(name).trim().to_lowercase();
        let name = name.as_str();
        let slot = match name {
            _ if READ.contains(&name) => &mut self.read,
            _ if WRITE.contains(&name) => &mut self.write,
            _ if LIST.contains(&name) => &mut self.list,
            _ if SEARCH.contains(&name) => &mut self.search,
            _ => return false,
        };
        *slot = on;
        true
    }

    /// Whether a name means one of them.
    pub fn knows(name: &str) -> bool {
        Self::default().set(name, true)
    }

    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.read || self.list || self.search || self.write
    }
}
