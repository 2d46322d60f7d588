//! One service as configured: where it is, what it speaks, which variable holds its key.

use std::collections::BTreeMap;
use std::net::IpAddr;

use reqwest::Url;

use super::wire::{Quirks, Wire};

/// A service.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// The canonical name.
    pub(super) name: String,
    /// What it speaks.
    pub(super) wire: Wire,
    /// Where it is, or why that is no place for a key.
    pub(super) base: Result<Url, String>,
    /// Whether `base` is where this service is by default.
    pub(super) at_home: bool,
    /// Variables, the first of which that is set holds its key.
    pub(super) keys: Vec<String>,
    /// Whether it can be asked without one.
    pub(super) keyless: bool,
    /// The model when none is asked for.
    pub(super) default_model: Option<String>,
    /// Calls at once.
    pub(super) concurrency: u32,
    /// Other names of models.
    pub(super) models: BTreeMap<String, String>,
    /// Whether its answers are asked for in pieces.
    pub(super) streams: bool,
    /// What sets it apart.
    pub(super) quirks: Quirks,
}

impl Service {
    /// The model behind a name.
    pub(super) fn model(&self, asked: &str) -> String {
        self.models.get(asked).cloned().unwrap_or_else(|| asked.to_owned())
    }

    /// The variable a person should set.
    pub(super) fn key_name(&self) -> &str {
        self.keys.first().map_or("", String::as_str)
    }

    /// What paces and steps are remembered by.
    pub(super) fn key(&self) -> String {
        let place = self.base.as_ref().map(shown).unwrap_or_default();
        format!("{} {place}", self.name)
    }
}

/// Reads a base address: https, or http on this machine only.
pub(super) fn base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("its base URL is no address: {error}"))?;
    let local = url.host_str().is_some_and(is_loopback);
    match url.scheme() {
        _ if url.cannot_be_a_base() => Err("its base URL is no address of a service".to_owned()),
        "https" => Ok(url),
        "http" if local => Ok(url),
        "http" => Err(format!("its base URL {} must be https: it is not on this machine", shown(&url))),
        other => Err(format!("its base URL must be https, not {other}")),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An address as it may be shown: without name, password, query and fragment.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that have no host, which are refused before.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn keys_travel_over_https_except_on_this_machine() {
        for good in ["https://api.example.com/v1", "http://localhost:1/v1", "http://127.0.0.9:1", "http://[::1]:1/"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            (
                "http://me:secret@api.example.com/v1?k=v",
                "its base URL http://api.example.com/v1 must be https: it is not on this machine",
            ),
            (
                "http://localhost.example.com",
                "its base URL http://localhost.example.com must be https: it is not on this machine",
            ),
            ("ftp://example.com", "its base URL must be https, not ftp"),
            ("mailto:a@b", "its base URL is no address of a service"),
            ("api.example.com", "its base URL is no address: relative URL without a base"),
        ] {
            assert_eq!(base(bad).unwrap_err(), why);
        }
    }

    #[test]
    fn an_address_is_shown_without_name_and_password() {
        let url = Url::parse("https://me:secret@example.com/v1/?key=1#x").unwrap();
        assert_eq!(shown(&url), "https://example.com/v1");
    }
}
