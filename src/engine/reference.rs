//! Which run a reference means, and what is said when it means none.

use crate::core::failure::{Code, Failure};
use crate::core::ids::RunId;
use crate::store::Store;

/// The run that a reference stands for: an id, a unique prefix of it or of its random part, `latest`; the latest when there
/// is none.
///
/// # Errors
/// `invalid_arguments` for text that cannot be a reference, `not_found` with the home, `ambiguous`.
pub(crate) fn resolve(store: &Store, reference: Option<&str>) -> Result<RunId, Failure> {
    let reference = reference.unwrap_or("latest").trim();
    if reference.is_empty() || !reference.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(Failure::new(Code::InvalidArguments, format!("`{reference}` cannot name a run"))
            .hint("give its id, the beginning of it or of its last part, or latest; owf_list_runs shows them"));
    }
    store.resolve(reference).map_err(|error| {
        let mut failure = Failure::from(error);
        let home = home(store);
        if failure.code == Code::NotFound {
            if reference == "latest" {
                failure.message = format!("no runs yet in {home}");
                failure.hint = Some("owf run FILE, or --home for another store".to_owned());
            } else {
                failure.message = format!("no run `{reference}` in {home}");
                failure.hint = Some("owf_list_runs shows all runs; --home names another store".to_owned());
            }
        }
        failure.with("home", home)
    })
}

/// The home, absolute.
pub(crate) fn home(store: &Store) -> String {
    absolute(store.home())
}

/// A path that says where it starts.
pub(crate) fn absolute(path: &std::path::Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
