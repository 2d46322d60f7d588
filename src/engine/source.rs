//! Placeholder until the branch with the real one lands.
use super::services::Services;
use super::view::Notice;
use crate::core::failure::Failure;
use crate::core::run::Settings;
use crate::front::script::{Bundled, Checked, Script};
use crate::providers::fake::{FakeProvider, Fixtures};
use crate::store::Store;
use std::path::{Path, PathBuf};
use std::sync::Arc;
pub(crate) const BUNDLED: &[Bundled] = &[];
#[derive(Debug, Clone, Default)]
pub(crate) struct Reference {
    pub path: Option<String>,
    pub name: Option<String>,
    pub script: Option<String>,
}
pub(crate) struct Workflow {
    pub bytes: Vec<u8>,
    pub path: Option<PathBuf>,
    pub checked: Checked,
    pub notices: Vec<Notice>,
}
pub(crate) fn load(_r: &Reference, _cwd: &Path, _h: Option<&Path>) -> Result<Workflow, Failure> {
    Err(Failure::new(crate::core::failure::Code::Internal, "x"))
}
pub(crate) fn require(w: &Workflow) -> Result<&Script, Failure> {
    w.checked.script.as_ref().ok_or_else(|| Failure::new(crate::core::failure::Code::Internal, "x"))
}
pub(crate) fn fixtures(_p: &Path) -> Result<(Vec<u8>, Arc<Fixtures>), Failure> {
    Err(Failure::new(crate::core::failure::Code::Internal, "x"))
}
pub(crate) fn fake_provider(_s: &Store, _v: &Services, _t: &Settings) -> Result<FakeProvider, Failure> {
    Err(Failure::new(crate::core::failure::Code::Internal, "x"))
}
