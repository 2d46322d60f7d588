//! Lists of runs, and what a reference such as `k7q2` or `latest` stands for.

use rusqlite::{Connection, params};

use crate::core::ids::RunId;
use crate::core::run::{RunStatus, StatusReason};
use crate::core::time::Millis;
use crate::store::error::StoreError;
use crate::store::lease;
use crate::store::rows;
use crate::store::runs::{RunRow, effective, run_row};
use crate::store::store::Store;
use crate::store::words::{optional_word, run_id, word};

/// How many names an error lists.
const NAMES: usize = 20;

/// Which runs to list, latest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFilter {
    /// Effective statuses; empty = all.
    pub status: Vec<RunStatus>,
    /// The name of the workflow.
    pub workflow: Option<String>,
    /// Created at this time or later.
    pub since: Option<Millis>,
    /// Whether child runs are listed too.
    pub children: bool,
    /// How many at most; 0 = 20.
    pub limit: usize,
    /// Go on after the row with this [`RunRow::position`].
    pub before: Option<i64>,
    /// The present time, by which unstarted runs are told.
    pub now: Millis,
}

/// One page of runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunPage {
    /// The runs, latest first, without outcomes.
    pub rows: Vec<RunRow>,
    /// Runs in the store (child runs only when they are listed).
    pub total: u64,
    /// Runs that match the filter, on all pages.
    pub matched: u64,
    /// Where the next page begins, for [`RunFilter::before`].
    pub next: Option<i64>,
}

impl Store {
    /// Lists runs, latest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn runs(&self, filter: &RunFilter) -> Result<RunPage, StoreError> {
        let limit = if filter.limit == 0 { 20 } else { filter.limit };
        self.read(|db| {
            let total: i64 = db
                .prepare_cached("SELECT count(*) FROM run WHERE ?1 OR parent IS NULL")?
                .query_row([filter.children], |row| row.get(0))?;
            let mut select = db.prepare_cached(
                "SELECT run.no, run.status, run.status_reason, run.created_at, root.run_id, \
                 coalesce(lease.epoch, 0) FROM run JOIN run_key AS root ON root.no = run.root \
                 LEFT JOIN lease ON lease.root = run.root \
                 WHERE (?1 OR run.parent IS NULL) AND (?2 IS NULL OR run.workflow_name = ?2) \
                 AND (?3 IS NULL OR run.created_at >= ?3) ORDER BY run.no DESC",
            )?;
            let mut found = select.query(params![filter.children, filter.workflow, filter.since.map(|at| at.0)])?;
            let (mut page, mut matched, mut more) = (Vec::new(), 0, false);
            while let Some(row) = found.next()? {
                let text = |i: usize| row.get_ref(i).and_then(|v| Ok(v.as_str_or_null()?));
                let status: RunStatus = word(text(1)?.unwrap_or_default())?;
                let reason: Option<StatusReason> = optional_word(text(2)?)?;
                let root = run_id(text(4)?.unwrap_or_default())?;
                let live = || lease::held(self.home(), &root);
                let epoch: i64 = row.get(5)?;
                if !filter.status.is_empty() {
                    let (status, _) = effective(status, reason, Millis(row.get(3)?), epoch as u64, live, filter.now);
                    if !filter.status.contains(&status) {
                        continue;
                    }
                }
                matched += 1;
                let no: i64 = row.get(0)?;
                if filter.before.is_some_and(|before| no >= before) {
                    continue;
                }
                if page.len() < limit { page.push(no) } else { more = true }
            }
            let mut rows = Vec::with_capacity(page.len());
            for no in &page {
                if let Some(fold) = rows::load_run(db, *no)? {
                    rows.push(run_row(db, fold, false)?);
                }
            }
            let next = if more { page.last().copied() } else { None };
            Ok(RunPage { rows, total: total as u64, matched, next })
        })
    }

    /// The run that a reference stands for: an id, a unique prefix of it, a unique prefix of its random part, or `latest`.
    /// Child runs count only when no other run matches, and never for `latest`.
    ///
    /// # Errors
    /// `NotFound` with the nearest ids, `Ambiguous` with the candidates.
    pub fn resolve(&self, reference: &str) -> Result<RunId, StoreError> {
        let wanted = reference.trim().to_ascii_lowercase();
        self.read(|db| {
            let all = ids(db)?;
            if wanted == "latest" {
                return match all.iter().rev().find(|(_, child)| !child) {
                    Some((id, _)) => Ok(id.clone()),
                    None => Err(StoreError::NotFound { what: "run", name: wanted.clone(), nearest: Vec::new() }),
                };
            }
            if let Some((id, _)) = all.iter().find(|(id, _)| id.as_str() == wanted) {
                return Ok(id.clone());
            }
            let fits = |id: &RunId| {
                !wanted.is_empty() && (id.as_str().starts_with(&wanted) || id.short().starts_with(&wanted))
            };
            for children in [false, true] {
                let matches: Vec<&RunId> =
                    all.iter().filter(|(id, child)| *child == children && fits(id)).map(|(id, _)| id).collect();
                match matches.as_slice() {
                    [] => {}
                    [one] => return Ok((*one).clone()),
                    several => {
                        let candidates = several.iter().rev().take(NAMES).map(ToString::to_string).collect();
                        return Err(StoreError::Ambiguous { name: reference.to_owned(), candidates });
                    }
                }
            }
            Err(StoreError::NotFound { what: "run", name: reference.to_owned(), nearest: nearest(&all, &wanted) })
        })
    }
}

/// All run ids, oldest first, and whether each is a child's.
fn ids(db: &Connection) -> Result<Vec<(RunId, bool)>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT run_key.run_id, run.parent IS NOT NULL FROM run JOIN run_key ON run_key.no = run.no ORDER BY run.no",
    )?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((run_id(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?, row.get(1)?));
    }
    Ok(found)
}

/// The ids that begin most like `wanted`, the latest first among equals.
fn nearest(all: &[(RunId, bool)], wanted: &str) -> Vec<String> {
    let common = |id: &RunId| {
        let shared = |text: &str| text.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
        shared(id.as_str()).max(shared(id.short()))
    };
    let mut roots: Vec<&RunId> = all.iter().rev().filter(|(_, child)| !child).map(|(id, _)| id).collect();
    roots.sort_by_key(|id| std::cmp::Reverse(common(id)));
    roots.into_iter().take(5).map(ToString::to_string).collect()
}
