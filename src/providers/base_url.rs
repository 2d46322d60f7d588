//! Addresses of services: encrypted unless on this machine, and without anything that belongs in a header.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What an address says.
struct Parts<'a> {
    encrypted: bool,
    host: &'a str,
}

/// Refuses an address that keys and prompts must not go to.
///
/// # Errors
/// One sentence fragment that fits after `base_url`: no http address, no https although the host is not this machine, a user or
/// password, a query. It never repeats the address, which may hold a password.
pub fn check(url: &str) -> Result<(), String> {
    let parts = parts(url)?;
    if parts.encrypted || is_loopback(parts.host) {
        Ok(())
    } else {
        Err("must begin with https:// unless its host is this machine".to_owned())
    }
}

/// The host of an address, with its port where one is given; none when it is no address that [`check`] knows.
pub fn host(url: &str) -> Option<String> {
    parts(url).ok()?;
    let rest = url.split_once("://")?.1;
    rest.split('/').next().map(str::to_lowercase)
}

fn parts(url: &str) -> Result<Parts<'_>, String> {
    let no_address = || "must be an address such as https://host/v1".to_owned();
    let (scheme, rest) = url.split_once("://").ok_or_else(no_address)?;
    let encrypted = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err(no_address()),
    };
    if rest.contains(['?', '#']) {
        return Err("must have no query: a key belongs in a variable".to_owned());
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("must have no user or password: a key belongs in a variable".to_owned());
    }
    // Nothing that two readers of an address could understand in two ways.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%/:@!,=+[]".contains(c);
    if !rest.chars().all(plain) {
        return Err(no_address());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, port) = v6.split_once(']').ok_or_else(no_address)?;
            host.parse::<Ipv6Addr>().map_err(|_| no_address())?;
            (host, port)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let host = &authority[..end];
            if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
                return Err(no_address());
            }
            (host, &authority[end..])
        }
    };
    let numbered = port.strip_prefix(':').is_some_and(|n| n.parse::<u16>().is_ok());
    if port.is_empty() || numbered { Ok(Parts { encrypted, host }) } else { Err(no_address()) }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_encrypted_or_stay_on_this_machine() {
        for url in [
            "https://api.example.com",
            "HTTPS://api.example.com:8443/v1",
            "http://localhost:8080/v1",
            "http://127.0.0.1:11434",
            "http://127.9.9.9/",
            "http://[::1]:80/v1",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        let remote = "must begin with https:// unless its host is this machine";
        for url in [
            "http://api.example.com/v1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://[::2]/",
            "http://127.1/",
        ] {
            assert_eq!(check(url), Err(remote.to_owned()), "{url}");
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for url in [
            "",
            "api.example.com/v1",
            "ftp://host",
            "https://",
            "https://user:password@host/v1",
            "http://127.0.0.1@example.com",
            "http://127.0.0.1\\@example.com",
            "https://host/v1?key=abc",
            "https://host/#a",
            "https://host:99999",
            "https://host:",
            "https://[::1",
            "https://ho st",
            "https://höst",
        ] {
            assert!(check(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_host_is_what_is_shown_of_an_address() {
        assert_eq!(host("https://API.example.com:8443/v1/x").as_deref(), Some("api.example.com:8443"));
        assert_eq!(host("http://[::1]:80/v1").as_deref(), Some("[::1]:80"));
        assert_eq!(host("https://user:secret@host"), None);
    }
}
