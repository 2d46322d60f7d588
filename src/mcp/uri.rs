//! Addresses of resources: `owf://runs/RUN/output`, `.../report`, `.../artifacts/PATH`.

use std::fmt;

use super::refused::Refused;

/// What an address names. The path is decoded and not checked: the guard of run directories does that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Output { run: String },
    Report { run: String },
    Artifact { run: String, path: String },
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// Another form, a broken escape, or an escape that hides a separator, a dot or a control character: what has to be
    /// hidden leads nowhere good.
    pub(crate) fn parse(uri: &str) -> Result<Self, Refused> {
        let unknown = || {
            let shown: String = uri.chars().filter(|c| !c.is_control()).take(200).collect();
            Refused::Resource(format!(
                "there is no resource {shown}; the forms are owf://runs/RUN_ID/output, owf://runs/RUN_ID/report and \
                 owf://runs/RUN_ID/artifacts/PATH"
            ))
        };
        let rest = uri.strip_prefix("owf://runs/").ok_or_else(unknown)?;
        let (run, what) = rest.split_once('/').ok_or_else(unknown)?;
        let named = !run.is_empty() && run.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !named {
            return Err(unknown());
        }
        let run = run.to_owned();
        match what.split_once('/') {
            None if what == "output" => Ok(Self::Output { run }),
            None if what == "report" => Ok(Self::Report { run }),
            Some(("artifacts", path)) => Ok(Self::Artifact { run, path: decoded(path)? }),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output { run } => write!(f, "owf://runs/{run}/output"),
            Self::Report { run } => write!(f, "owf://runs/{run}/report"),
            Self::Artifact { run, path } => {
                write!(f, "owf://runs/{run}/artifacts/")?;
                for byte in path.bytes() {
                    match byte {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                            write!(f, "{}", char::from(byte))?;
                        }
                        other => write!(f, "%{other:02X}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// A path with its escapes taken back, once.
fn decoded(path: &str) -> Result<String, Refused> {
    let refused = |why: &str| {
        let shown: String = path.chars().filter(|c| !c.is_control()).take(200).collect();
        Refused::Params(format!("the path \"{shown}\" {why}; owf_artifacts lists the files of a run"))
    };
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err(refused("holds a broken escape"));
        };
        match (high * 16 + low) as u8 {
            b'/' | b'\\' | b'.' | 0..=0x1f | 0x7f => {
                return Err(refused("hides a character that must be written as it is"));
            }
            plain => out.push(plain),
        }
    }
    String::from_utf8(out).map_err(|_| refused("is no text"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn artifact(path: &str) -> Address {
        Address::Artifact { run: "latest".into(), path: path.into() }
    }

    #[test]
    fn addresses_read_back_as_they_were_written() {
        let run = "20260528-143201-k7q2mvx4".to_owned();
        for address in [
            Address::Output { run: run.clone() },
            Address::Report { run },
            artifact("calls/c0009/prompt.txt"),
            artifact("a b/ü.txt"),
            artifact("50%"),
            artifact("what?#.txt"),
        ] {
            assert_eq!(Address::parse(&address.to_string()).unwrap(), address);
        }
        assert_eq!(artifact("a b").to_string(), "owf://runs/latest/artifacts/a%20b");
    }

    #[test]
    fn an_escape_that_hides_something_is_refused_and_nothing_is_decoded_twice() {
        for path in ["%2e%2e/x", "%2E%2E%2Fx", "a%2fb", "a%00", "a%5cb", "%0a", "a%2", "a%zz", "%ff", "a%7F"] {
            let refused = Address::parse(&format!("owf://runs/latest/artifacts/{path}")).unwrap_err();
            assert!(matches!(refused, Refused::Params(_)), "{path}: {refused:?}");
        }
        // The guard refuses what is still encoded after that.
        assert_eq!(Address::parse("owf://runs/latest/artifacts/%252e").unwrap(), artifact("%2e"));
        assert_eq!(Address::parse("owf://runs/latest/artifacts/../x").unwrap(), artifact("../x"));
    }

    #[test]
    fn other_addresses_are_no_resources_and_are_named_without_control_characters() {
        for uri in [
            "",
            "file:///etc/passwd",
            "owf://runs",
            "owf://runs/",
            "owf://runs//output",
            "owf://runs/latest",
            "owf://runs/latest/",
            "owf://runs/latest/artifacts",
            "owf://runs/latest/output/x",
            "owf://runs/latest/secrets/x",
            "owf://runs/../output",
            "owf://runs/a%2fb/output",
            "owf://runs/latest/output?x=1",
            "OWF://runs/latest/output\u{1b}[31m",
        ] {
            let Err(Refused::Resource(text)) = Address::parse(uri) else { panic!("{uri:?} was taken") };
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }
}
