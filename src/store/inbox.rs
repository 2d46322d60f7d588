//! The inbox: what other processes ask of a run, inserted in the transaction that looks at the run and its owner.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::core::call::{Decider, Decision};
use crate::core::event::{ApprovalNote, Event};
use crate::core::ids::{ApprovalId, CallId, RunId};
use crate::core::machine::DecisionInput;
use crate::core::run::RunStatus;
use crate::core::time::Millis;
use crate::store::error::{Decided, StoreError};
use crate::store::events::call_events;
use crate::store::lease;
use crate::store::projection::{Answered, ApprovalFold, ApprovalState, RunFold};
use crate::store::rows;
use crate::store::store::Store;
use crate::store::words::{packed, run_id};
use crate::store::writer::{Append, Prepared, Tx};

/// What another process asks of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxMessage {
    /// End the run, or one of its calls.
    Cancel {
        /// The call; none = the run.
        call_id: Option<CallId>,
        /// Who asks.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// Start nothing more, then pause.
    Pause {
        /// Who asks.
        by: String,
    },
    /// Answer an approval.
    Decide {
        /// Which.
        approval_id: ApprovalId,
        /// The answer.
        decision: Decision,
        /// The hash of the question that was read.
        content_hash: String,
        /// Who decides.
        by: String,
        /// Through what.
        via: String,
        /// Why.
        reason: Option<String>,
        /// Whether a person decides, as far as it can be told.
        person: bool,
    },
}

/// What lies in the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxItem {
    /// End the run, or one of its calls.
    Cancel {
        /// The call; none = the run.
        call_id: Option<CallId>,
        /// Who asked.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// Start nothing more, then pause.
    Pause {
        /// Who asked.
        by: String,
    },
    /// The answer to an approval, given or by expiry.
    Decide(DecisionInput),
}

/// A row of the inbox that nobody has acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    /// Its number; to be named in [`Append::consumed`].
    pub id: i64,
    /// The run it is for: the root or one of its descendants.
    pub run_id: RunId,
    /// When it was inserted.
    pub at: Millis,
    /// What is asked.
    pub item: InboxItem,
}

/// What the store knew when a message was inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Whether an owner will see it; if not, whoever sent it has to act.
    pub live_owner: bool,
    /// The stored status of the run.
    pub status: RunStatus,
}

/// How an attempt to pause ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PauseResult {
    /// The run is paused and has no owner any more.
    Paused,
    /// Something came in meanwhile; nothing was written.
    Pending(Vec<InboxRow>),
}

/// The stored form of a cancel or a pause.
#[derive(Serialize, Deserialize)]
struct StoredWish {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call_id: Option<CallId>,
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The stored form of a decision.
#[derive(Serialize, Deserialize)]
struct StoredDecision {
    approval_id: ApprovalId,
    decision: Decision,
    #[serde(default)]
    expired: bool,
    by: String,
    via: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

fn insert(db: &Connection, run: &RunFold, item: &InboxItem, at: Millis) -> Result<(), StoreError> {
    let (kind, body) = match item.clone() {
        InboxItem::Cancel { call_id, by, reason } => {
            ("cancel", serde_json::to_string(&StoredWish { call_id, by, reason })?)
        }
        InboxItem::Pause { by } => ("pause", serde_json::to_string(&StoredWish { call_id: None, by, reason: None })?),
        InboxItem::Decide(DecisionInput { approval_id, decision, expired, by, via, reason }) => {
            let stored = StoredDecision { approval_id, decision, expired, by, via, reason };
            ("decide", serde_json::to_string(&stored)?)
        }
    };
    db.prepare_cached("INSERT INTO inbox (root, run, kind, body, at) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![run.root, run.no, kind, body, at.0])?;
    Ok(())
}

fn item(kind: &str, body: &str) -> Result<InboxItem, StoreError> {
    match kind {
        "cancel" => {
            let StoredWish { call_id, by, reason } = serde_json::from_str(body)?;
            Ok(InboxItem::Cancel { call_id, by, reason })
        }
        "pause" => {
            let StoredWish { by, .. } = serde_json::from_str(body)?;
            Ok(InboxItem::Pause { by })
        }
        "decide" => {
            let StoredDecision { approval_id, decision, expired, by, via, reason } = serde_json::from_str(body)?;
            Ok(InboxItem::Decide(DecisionInput { approval_id, decision, expired, by, via, reason }))
        }
        other => Err(StoreError::Corrupt(format!("an inbox row has the kind {other}"))),
    }
}

/// The rows of a root's tree that wait, after the row `after`.
fn waiting(db: &Connection, root: i64, after: i64) -> Result<Vec<InboxRow>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT inbox.id, run_key.run_id, inbox.at, inbox.kind, inbox.body FROM inbox \
         JOIN run_key ON run_key.no = inbox.run \
         WHERE inbox.root = ?1 AND inbox.id > ?2 AND inbox.consumed = 0 ORDER BY inbox.id",
    )?;
    let mut rows = select.query(params![root, after])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let text = |i: usize| row.get_ref(i).and_then(|v| Ok(v.as_str()?));
        found.push(InboxRow {
            id: row.get(0)?,
            run_id: run_id(text(1)?)?,
            at: Millis(row.get(2)?),
            item: item(text(3)?, text(4)?)?,
        });
    }
    Ok(found)
}

/// Marks rows as acted on.
pub(super) fn consume(db: &Connection, ids: &[i64]) -> Result<(), StoreError> {
    for id in ids {
        db.prepare_cached("UPDATE inbox SET consumed = 1 WHERE id = ?1")?.execute([id])?;
    }
    Ok(())
}

/// Every decision that lies or lay in the inbox, oldest first, with its run's number and its time: for a rebuild.
pub(super) fn decisions(db: &Connection) -> Result<Vec<(i64, Millis, DecisionInput)>, StoreError> {
    let mut select = db.prepare("SELECT run, at, kind, body FROM inbox WHERE kind = 'decide' ORDER BY id")?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, body): (String, String) = (row.get(2)?, row.get(3)?);
        if let InboxItem::Decide(input) = item(&kind, &body)? {
            found.push((row.get(0)?, Millis(row.get(1)?), input));
        }
    }
    Ok(found)
}

fn load(tx: &mut Tx<'_>, run: &RunId) -> Result<RunFold, StoreError> {
    let no = tx.number(run)?;
    rows::load_run(tx.db, no)?.ok_or_else(|| StoreError::no_run(run))
}

fn refuse_ended(tx: &Tx<'_>, run: &RunId, row: &RunFold) -> Result<(), StoreError> {
    let ended = |status: RunStatus| StoreError::RunEnded { run: run.clone(), status };
    if row.status.is_ended() {
        return Err(ended(row.status));
    }
    match rows::load_run(tx.db, row.root)? {
        Some(root) if root.status.is_ended() => Err(ended(root.status)),
        _ => Ok(()),
    }
}

fn approval(tx: &Tx<'_>, no: i64, id: ApprovalId) -> Result<ApprovalFold, StoreError> {
    rows::load_approval(tx.db, no, id)?.ok_or_else(|| StoreError::NotFound {
        what: "approval",
        name: id.to_string(),
        nearest: Vec::new(),
    })
}

/// Why a question that is not open takes no answer.
fn closed(row: &ApprovalFold) -> Option<StoreError> {
    match row.state {
        ApprovalState::Pending => None,
        ApprovalState::Expired => Some(StoreError::ApprovalExpired),
        ApprovalState::Approved | ApprovalState::Denied | ApprovalState::Cancelled => {
            let answer = row.answer.clone();
            Some(StoreError::AlreadyDecided(Decided {
                decision: answer.as_ref().map(|a| a.decision),
                at: answer.as_ref().map(|a| a.at),
                by: answer.as_ref().map(|a| a.by.clone()),
                via: answer.map(|a| a.via),
            }))
        }
    }
}

fn decide(
    tx: &mut Tx<'_>,
    run: &RunId,
    row: &RunFold,
    input: DecisionInput,
    content_hash: &str,
    person: bool,
    at: Millis,
) -> Result<InboxItem, StoreError> {
    let mut question = approval(tx, row.no, input.approval_id)?;
    // A decision that was made is the better answer than that the run has ended since.
    if question.answer.is_some()
        && let Some(error) = closed(&question)
    {
        return Err(error);
    }
    refuse_ended(tx, run, row)?;
    if let Some(error) = closed(&question) {
        return Err(error);
    }
    if question.note.expires_at.is_some_and(|expires| expires <= at) {
        return Err(StoreError::ApprovalExpired);
    }
    if !as_asked(tx.db, row.no, &question.note)? {
        return Err(StoreError::Altered { run: run.clone() });
    }
    if question.note.content_hash != content_hash {
        return Err(StoreError::ContentChanged { now: question.note.content_hash });
    }
    if question.note.decider == Decider::Person && !person {
        return Err(StoreError::PersonRequired);
    }
    answer(tx, row.no, &mut question, &input, at)?;
    Ok(InboxItem::Decide(input))
}

/// Whether a question reads as it was asked: a person decides what the row shows, the run acts on what its journal says.
fn as_asked(db: &Connection, no: i64, note: &ApprovalNote) -> Result<bool, StoreError> {
    let events = call_events(db, no, note.call_id)?;
    Ok(events.iter().any(|record| matches!(&record.event, Event::ApprovalAsked { approval } if approval == note)))
}

fn answer(
    tx: &Tx<'_>,
    no: i64,
    question: &mut ApprovalFold,
    input: &DecisionInput,
    at: Millis,
) -> Result<(), StoreError> {
    question.answer(input.expired, answered(input, at));
    rows::save_approval(tx.db, no, question)
}

/// The row's form of an answer that came through the inbox.
pub(super) fn answered(input: &DecisionInput, at: Millis) -> Answered {
    Answered {
        decision: input.decision,
        at,
        by: input.by.clone(),
        via: input.via.clone(),
        reason: input.reason.clone(),
    }
}

impl Store {
    /// Puts a message into a run's inbox. One transaction reads the run, its owner and the question it answers, so that
    /// either an owner sees the message or the sender is told that there is none. A run that nobody executes needs no pause.
    ///
    /// # Errors
    /// `NotFound`, `RunEnded`, and for a decision `AlreadyDecided`, `ApprovalExpired`, `Altered`, `ContentChanged`,
    /// `PersonRequired`.
    pub fn send(&self, run: &RunId, message: &InboxMessage, at: Millis) -> Result<Sent, StoreError> {
        let (run, message, home) = (run.clone(), message.clone(), self.home().to_owned());
        self.write("send", move |tx| {
            let row = load(tx, &run)?;
            let item = match message {
                InboxMessage::Decide { approval_id, decision, content_hash, by, via, reason, person } => {
                    let input = DecisionInput { approval_id, decision, expired: false, by, via, reason };
                    decide(tx, &run, &row, input, &content_hash, person, at)?
                }
                InboxMessage::Cancel { call_id, by, reason } => {
                    refuse_ended(tx, &run, &row)?;
                    if let Some(call) = call_id
                        && rows::load_call(tx.db, packed(row.no, u64::from(call.0)))?.is_none()
                    {
                        let name = call.to_string();
                        return Err(StoreError::NotFound { what: "call", name, nearest: Vec::new() });
                    }
                    InboxItem::Cancel { call_id, by, reason }
                }
                InboxMessage::Pause { by } => {
                    refuse_ended(tx, &run, &row)?;
                    let root = crate::store::runs::id_of(tx.db, row.root)?;
                    if row.status != RunStatus::Queued && !lease::held(&home, &root) {
                        // It stands still already, and a row that waits would stop whoever resumes it.
                        return Ok(Sent { live_owner: false, status: row.status });
                    }
                    InboxItem::Pause { by }
                }
            };
            insert(tx.db, &row, &item, at)?;
            // The owner clears its row in the transaction that pauses, so a lock that is about to go does not count; a row
            // without a lock is a dead owner's.
            let root = crate::store::runs::id_of(tx.db, row.root)?;
            let live_owner = lease::recorded(tx.db, row.root)?.is_some() && lease::held(&home, &root);
            Ok(Sent { live_owner, status: row.status })
        })
    }

    /// Lets an approval expire, if it is open and its time has come at `at`. True when the expiry won: then its answer lies
    /// in the inbox.
    ///
    /// # Errors
    /// `NotFound`, or what the database says.
    pub fn expire(&self, run: &RunId, approval_id: ApprovalId, at: Millis) -> Result<bool, StoreError> {
        let run = run.clone();
        self.write("expire", move |tx| {
            let row = load(tx, &run)?;
            let mut question = approval(tx, row.no, approval_id)?;
            let due = question.note.expires_at.is_some_and(|expires| expires <= at);
            if question.state != ApprovalState::Pending || !due || refuse_ended(tx, &run, &row).is_err() {
                return Ok(false);
            }
            let input = DecisionInput {
                approval_id,
                decision: question.note.on_timeout,
                expired: true,
                by: "timeout".to_owned(),
                via: "timeout".to_owned(),
                reason: None,
            };
            answer(tx, row.no, &mut question, &input, at)?;
            insert(tx.db, &row, &InboxItem::Decide(input), at)?;
            Ok(true)
        })
    }

    /// What waits in the inbox of a run tree, after the row `after` (0 = from the beginning).
    ///
    /// # Errors
    /// `NotFound`, or what the database says.
    pub fn inbox(&self, root: &RunId, after: i64) -> Result<Vec<InboxRow>, StoreError> {
        self.read(|db| {
            let no = crate::store::journal::number(db, root)?.ok_or_else(|| StoreError::no_run(root))?;
            waiting(db, no, after)
        })
    }

    /// Pauses a run tree: one transaction looks into the inbox again, appends the events and clears the owner. When
    /// something waits there (besides what `append` consumes), nothing is written. The lock goes with the lease.
    ///
    /// # Errors
    /// As for an append; on an error the owner writes nothing more.
    pub fn pause(&self, append: Append) -> Result<PauseResult, StoreError> {
        let owner = (append.root.clone(), append.epoch);
        let prepared = Prepared::new(append)?;
        self.write_as("pause", Some(owner.clone()), move |tx| {
            let append = &prepared.append;
            let root = tx.number(&append.root)?;
            lease::check(tx.db, root, &owner)?;
            let rows = waiting(tx.db, root, 0)?;
            let rows: Vec<_> = rows.into_iter().filter(|row| !append.consumed.contains(&row.id)).collect();
            if !rows.is_empty() {
                return Ok(PauseResult::Pending(rows));
            }
            let (db, folder) = tx.folder();
            let no = folder.check(db, &append.run, &append.records)?;
            prepared.apply(db, folder, no)?;
            folder.flush(db)?;
            lease::clear(db, root, append.epoch)?;
            Ok(PauseResult::Paused)
        })
    }
}
