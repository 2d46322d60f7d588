//! `search_files`: lines of text files that match a regular expression.

use regex::RegexBuilder;

use super::bounds::Deadline;
use super::files::{Arguments, Files, text_of};
use super::glob::Glob;
use super::path::Below;
use super::tree::Tree;

/// The most characters of a line that are given.
const LINE: usize = 300;
/// The most memory of a compiled expression.
const EXPRESSION: usize = 1 << 20;

impl Files {
    pub(super) fn search(&self, arguments: &Arguments<'_>, deadline: Deadline) -> Result<String, String> {
        let query = arguments.text("query")?;
        let regex = RegexBuilder::new(query)
            .size_limit(EXPRESSION)
            .build()
            .map_err(|error| format!("the expression cannot be used: {error}"))?;
        let ground = self.ground(arguments.optional("path")?.unwrap_or_default())?;
        let glob = arguments.optional("pattern")?.map(Glob::new).transpose()?;
        let tree = Tree::open(ground.dir)?;
        let most = self.bounds.matches;
        let mut lines = Vec::new();
        let mut look = |path: &Below| {
            deadline.check()?;
            if glob.as_ref().is_some_and(|glob| !glob.matches(path.as_str())) {
                return Ok(true);
            }
            // What is no text, or has gone, has no matches.
            let Ok(text) = tree.file(path).and_then(|mut file| text_of(&mut file, path.shown())) else {
                return Ok(true);
            };
            for (number, line) in text.lines().enumerate().filter(|(_, line)| regex.is_match(line)) {
                if lines.len() == most {
                    return Ok(false);
                }
                let end = line.char_indices().nth(LINE).map_or(line.len(), |(at, _)| self.secrets.cut(line, at));
                lines.push(format!("{}:{}: {}", ground.shown(path), number + 1, &line[..end]));
            }
            Ok(true)
        };
        let from = &ground.from;
        let cut = if !from.as_str().is_empty() && tree.file(from).is_ok() {
            if ground.root.is_none() {
                self.readable(from.as_str())?;
            }
            self.allowed(from)?;
            !look(from)?
        } else {
            self.walk(&ground, deadline, &mut look)?
        };
        if lines.is_empty() {
            return Ok("no matches".to_owned());
        }
        let mut out = lines.join("\n");
        if cut {
            out.push_str(&format!("\n[cut after {most} lines: narrow it by path, pattern or query]"));
        }
        Ok(out)
    }
}
