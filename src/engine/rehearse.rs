//! Temporary.
use super::{engine::Engine, params::DryRunParams, view::DryRunView};
use crate::core::failure::{Code, Failure};
pub(crate) fn dry_run(_e: &Engine, _p: &DryRunParams) -> Result<DryRunView, Failure> {
    Err(Failure::new(Code::Internal, "x"))
}
