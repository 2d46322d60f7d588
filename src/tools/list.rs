//! `list_files`: the files below a directory that may be read, links left out.

use super::bounds::Deadline;
use super::files::{Arguments, Files};
use super::glob::Glob;
use super::path::Below;
use super::tree::{Tree, items};

/// The deepest directory that is looked into.
const DEEPEST: usize = 40;

impl Files {
    pub(super) fn list(&self, arguments: &Arguments<'_>, deadline: Deadline) -> Result<String, String> {
        let from =
            Below::parse(arguments.optional("path")?.unwrap_or_default()).map_err(|why| format!("path {why}"))?;
        let glob = arguments.optional("pattern")?.map(Glob::new).transpose()?;
        let mut lines = Vec::new();
        let most = self.bounds.entries;
        let cut = self.walk(&from, deadline, &mut |path| {
            if glob.as_ref().is_none_or(|glob| glob.matches(path.as_str())) {
                lines.push(path.as_str().to_owned());
            }
            Ok(lines.len() < most)
        })?;
        if lines.is_empty() {
            return Ok("no files".to_owned());
        }
        let mut out = lines.join("\n");
        if cut {
            out.push_str(&format!("\n[cut after {most} files: narrow it by path or pattern]"));
        }
        Ok(out)
    }

    /// Gives every file below `from` that may be read, in order, until `take` says false. Returns whether it did.
    pub(super) fn walk(
        &self,
        from: &Below,
        deadline: Deadline,
        take: &mut dyn FnMut(&Below) -> Result<bool, String>,
    ) -> Result<bool, String> {
        if self.is_refused(from) {
            return Err(format!("{} is refused by the rules for files", from.shown()));
        }
        let tree = Tree::open(self.dir())?;
        // What is there is looked at one directory at a time, so that no depth of a tree matters.
        let mut open = vec![from.clone()];
        let mut is_first = true;
        while let Some(dir) = open.pop() {
            deadline.check()?;
            let opened = match tree.dir(&dir) {
                Ok(opened) => opened,
                Err(why) if is_first => return Err(why),
                // It has gone, or may not be read: the rest is still worth listing.
                Err(_) => continue,
            };
            is_first = false;
            let mut deeper = Vec::new();
            for item in items(&opened)? {
                deadline.check()?;
                let path = dir.join(&item.name);
                if self.is_refused(&path) {
                    continue;
                }
                if item.is_dir {
                    if path.names().count() < DEEPEST {
                        deeper.push(path);
                    }
                } else if self.in_read_scope(&path) && self.has_extension(&path) && !take(&path)? {
                    return Ok(true);
                }
            }
            open.extend(deeper.into_iter().rev());
        }
        Ok(false)
    }
}
