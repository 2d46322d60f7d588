//! The engine's queries: each is one snapshot of the store, and none of them changes a run.

use crate::core::failure::{Code, Failure};

use super::engine::Engine;
use super::params::{
    ApprovalsParams, ArtifactsParams, CallsParams, ExplainParams, ExportParams, ListRunsParams, OutputParams,
    PruneParams, ReadArtifactParams, ReportParams, StatusParams, UsageParams,
};
use super::query::{RunScope, doctor_of_damaged_store, doctor_without_store, runs_cursor};
use super::report::Report;
use super::view::{
    ApprovalsView, ArtifactsView, CallDetailView, CallsView, ClearedView, DoctorView, ExplainView, ExportView,
    OutputView, PruneView, ReadArtifactView, ReportView, RunView, RunsView, UsageReport,
};

impl Engine {
    /// One run in full.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, `invalid_arguments` for a bad cursor.
    pub fn status(&self, params: &StatusParams) -> Result<RunView, Failure> {
        self.query(|q| {
            let run = q.resolve(params.run_id.as_deref())?;
            q.run_view(&run, &RunScope::Status { limit: params.limit, cursor: params.cursor.clone() })
        })
    }

    /// The calls of a run.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, `invalid_arguments`.
    pub fn calls(&self, params: &CallsParams) -> Result<CallsView, Failure> {
        self.query(|q| q.calls(params))
    }

    /// One call in full.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, `invalid_arguments`.
    pub fn call_detail(&self, params: &CallsParams) -> Result<CallDetailView, Failure> {
        self.query(|q| q.call_detail(params))
    }

    /// Why each call was reused or asked again.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, `invalid_arguments`.
    pub fn explain_cache(&self, params: &ExplainParams) -> Result<ExplainView, Failure> {
        self.query(|q| q.explain(params))
    }

    /// The value a run returned, or a part of it.
    ///
    /// # Errors
    /// `not_found` (also for a pointer that leads nowhere), `ambiguous`, `invalid_arguments`.
    pub fn output(&self, params: &OutputParams) -> Result<OutputView, Failure> {
        self.query(|q| q.output(params))
    }

    /// The files of a run.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, `invalid_arguments`.
    pub fn artifacts(&self, params: &ArtifactsParams) -> Result<ArtifactsView, Failure> {
        self.query(|q| q.artifacts(params))
    }

    /// A part of a file of a run, and of nothing else.
    ///
    /// # Errors
    /// `path_refused`, `not_found`, `ambiguous`, `invalid_arguments`.
    pub fn read_artifact(&self, params: &ReadArtifactParams) -> Result<ReadArtifactView, Failure> {
        self.query(|q| q.read_artifact(params))
    }

    /// Writes a report of a run, as it stands, into its run directory.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, `not_writable`.
    pub fn report(&self, params: &ReportParams) -> Result<ReportView, Failure> {
        self.query(|q| {
            let run = q.resolve(params.run_id.as_deref())?;
            let report = Report::of(q, &run, params.format.unwrap_or_default())?;
            report.write(q)
        })
    }

    /// A report of a run, written nowhere.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`.
    pub fn report_of(&self, params: &ReportParams) -> Result<Report, Failure> {
        self.query(|q| {
            let run = q.resolve(params.run_id.as_deref())?;
            Report::of(q, &run, params.format.unwrap_or_default())
        })
    }

    /// The runs of the store, newest first. A home without a store has none.
    ///
    /// # Errors
    /// `invalid_arguments` for a bad cursor or time.
    pub fn list_runs(&self, params: &ListRunsParams) -> Result<RunsView, Failure> {
        match self.existing() {
            Err(failure) if failure.code == Code::NotFound => {
                runs_cursor(params.cursor.as_deref())?;
                Ok(RunsView {
                    home: self.home().display().to_string(),
                    total: 0,
                    matched: 0,
                    runs: Vec::new(),
                    truncated: false,
                    next_cursor: None,
                    next: "owf_run_workflow starts a run".to_owned(),
                })
            }
            Err(failure) => Err(failure),
            Ok(_) => self.query(|q| q.list_runs(params)),
        }
    }

    /// Questions to a person. A home without a store has none.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`.
    pub fn approvals(&self, params: &ApprovalsParams) -> Result<ApprovalsView, Failure> {
        match self.existing() {
            Err(failure) if failure.code == Code::NotFound && params.run_id.is_none() => {
                Ok(ApprovalsView { approvals: Vec::new(), approvals_total: 0, truncated: false })
            }
            Err(failure) => Err(failure),
            Ok(_) => self.query(|q| q.approvals(params)),
        }
    }

    /// What agents used over all runs. A home without a store has used nothing.
    ///
    /// # Errors
    /// `invalid_arguments` for a bad time, store errors.
    pub fn usage(&self, params: &UsageParams) -> Result<UsageReport, Failure> {
        match self.existing() {
            Err(failure) if failure.code == Code::NotFound => {
                let nothing = crate::store::Store::in_memory()?;
                let env = super::query::QueryEnv { now: super::journal::now(), ..Default::default() };
                let none = super::query::Query { store: &nothing, env: &env }.usage(params)?;
                Ok(UsageReport { home: self.home().display().to_string(), ..none })
            }
            Err(failure) => Err(failure),
            Ok(_) => self.query(|q| q.usage(params)),
        }
    }

    /// Removes ended runs that no other run's reuse points to; the cache keeps their answers.
    ///
    /// # Errors
    /// `invalid_arguments`, store errors.
    pub fn prune(&self, params: &PruneParams) -> Result<PruneView, Failure> {
        self.query(|q| q.prune(params))
    }

    /// Removes every cache entry.
    ///
    /// # Errors
    /// Store errors.
    pub fn clear_cache(&self) -> Result<ClearedView, Failure> {
        self.query(|q| q.clear_cache())
    }

    /// Writes a run's files again from the journal, those left out included.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`, `not_writable`.
    pub fn export(&self, params: &ExportParams) -> Result<ExportView, Failure> {
        let dir = params.output.as_ref().map(|dir| self.services().cwd.join(dir));
        self.query(|q| {
            let run = q.resolve(params.run_id.as_deref())?;
            q.export(&run, dir.as_deref())
        })
    }

    /// What is well and what is not: home, store, git, providers.
    ///
    /// With `reach` the services that can be used are asked whether they answer; without, no network is used.
    ///
    /// # Errors
    /// Store errors other than a missing store.
    pub fn doctor(&self, reach: bool) -> Result<DoctorView, Failure> {
        let mut env = self.full_env();
        if reach {
            env.config.extend(self.reached());
        }
        match self.query_in(&env, |q| q.doctor()) {
            Err(failure) if failure.code == Code::NotFound => Ok(doctor_without_store(&env, self.home())),
            // Every other command sends people here, so this is no place to stop at it.
            Err(failure) if failure.code == Code::StoreCorrupt => {
                Ok(doctor_of_damaged_store(&env, self.home(), failure.message))
            }
            told => told,
        }
    }
}
