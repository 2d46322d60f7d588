//! Temporary.
use super::{params::ValidateParams, view::ValidateView};
use crate::core::failure::{Code, Failure};
use std::path::Path;
pub(crate) fn validate(_p: &ValidateParams, _c: &Path, _h: Option<&Path>) -> Result<ValidateView, Failure> {
    Err(Failure::new(Code::Internal, "x"))
}
