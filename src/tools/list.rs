//! `list_files`: the files below a directory that may be read, links left out.

use std::path::Path;

use super::bounds::Deadline;
use super::files::{Arguments, Files};
use super::glob::Glob;
use super::path::Below;
use super::tree::{Tree, items};

/// The deepest directory that is looked into.
const DEEPEST: usize = 40;

/// Where a listing or a search begins.
pub(super) struct Ground<'a> {
    /// The directory that paths are below.
    pub(super) dir: &'a Path,
    /// The same when it is none of the call's own: what it holds is named absolutely, and no scope of the call speaks of it.
    pub(super) root: Option<&'a Path>,
    /// The place in it.
    pub(super) from: Below,
}

impl Ground<'_> {
    /// A path in it as a model is to write it.
    pub(super) fn shown(&self, path: &Below) -> String {
        match self.root {
            Some(root) => root.join(path.as_str()).display().to_string(),
            None => path.as_str().to_owned(),
        }
    }
}

impl Files {
    pub(super) fn list(&self, arguments: &Arguments<'_>, deadline: Deadline) -> Result<String, String> {
        let ground = self.ground(arguments.optional("path")?.unwrap_or_default())?;
        let glob = arguments.optional("pattern")?.map(Glob::new).transpose()?;
        let mut lines = Vec::new();
        let most = self.bounds.entries;
        let cut = self.walk(&ground, deadline, &mut |path| {
            if glob.as_ref().is_none_or(|glob| glob.matches(path.as_str())) {
                lines.push(ground.shown(path));
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

    /// Where a path begins: in the working directory, or for an absolute one in a directory that is configured beside it.
    pub(super) fn ground<'a>(&'a self, text: &'a str) -> Result<Ground<'a>, String> {
        let (root, rest) = match self.outside(text) {
            Some((root, rest)) => (Some(root), rest),
            None => (None, text),
        };
        let from = Below::parse(rest).map_err(|why| format!("path {why}"))?;
        Ok(Ground { dir: root.unwrap_or_else(|| self.dir()), root, from })
    }

    /// Gives every file of a ground that may be read, in order, until `take` says false. Returns whether it did.
    pub(super) fn walk(
        &self,
        ground: &Ground<'_>,
        deadline: Deadline,
        take: &mut dyn FnMut(&Below) -> Result<bool, String>,
    ) -> Result<bool, String> {
        let from = &ground.from;
        if self.is_refused(from) {
            return Err(format!("{} is refused by the rules for files", from.shown()));
        }
        let tree = Tree::open(ground.dir)?;
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
                } else if (ground.root.is_some() || self.in_read_scope(&path))
                    && self.has_extension(&path)
                    && !take(&path)?
                {
                    return Ok(true);
                }
            }
            open.extend(deeper.into_iter().rev());
        }
        Ok(false)
    }
}
