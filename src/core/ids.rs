//! Typed identifiers: runs, calls, approvals, sequence numbers and hashes, each parsed and printed in one place.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::core::time::Millis;

const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// An identifier that does not have the form of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}")]
pub struct BadId {
    /// The kind of identifier that was expected, e.g. `run id`.
    pub what: &'static str,
    /// The text as given.
    pub text: String,
}

/// The id of a run: `20260528-143201-k7q2mvx4`. Sorts by creation time; the last part holds 40 random bits in base32.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct RunId(String);

impl RunId {
    /// Makes the id of a run created at `at`, from 40 random bits.
    pub fn new(at: Millis, random: [u8; 5]) -> Self {
        let stamp = at.compact();
        Self(format!("{stamp}-{}", base32(random)))
    }

    /// The id of the child run that `call` of `parent` starts: a function of both, so that a restart finds it again.
    pub fn child(parent: &Self, call: CallId) -> Self {
        let digest = Sha256::digest(format!("owf child\n{}\n{call}", parent.0));
        let mut bits = [0; 5];
        bits.copy_from_slice(&digest[..5]);
        Self(format!("{}-{}", &parent.0[..15], base32(bits)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The random part, by which people refer to a run: `k7q2mvx4`.
    pub fn short(&self) -> &str {
        &self.0[16..]
    }
}

fn base32(bits: [u8; 5]) -> String {
    let mut n = bits.iter().fold(0_u64, |n, b| (n << 8) | u64::from(*b));
    let mut out = [0_u8; 8];
    for slot in out.iter_mut().rev() {
        *slot = BASE32[(n & 31) as usize];
        n >>= 5;
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl FromStr for RunId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let ok = text.len() == 24
            && text.bytes().enumerate().all(|(i, b)| match i {
                8 | 15 => b == b'-',
                0..=14 => b.is_ascii_digit(),
                _ => BASE32.contains(&b),
            });
        if ok { Ok(Self(text.to_owned())) } else { Err(BadId { what: "run id", text: text.to_owned() }) }
    }
}

impl TryFrom<String> for RunId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident, $what:literal, $prefix:literal, $width:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:0width$}"), self.0, width = $width)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let digits = text.strip_prefix($prefix).unwrap_or(text);
                let number = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None };
                match number {
                    Some(n) if n > 0 => Ok(Self(n)),
                    _ => Err(BadId { what: $what, text: text.to_owned() }),
                }
            }
        }
    };
}

numbered!(
    /// The id of a call in its run: its index in request order from 1, shown as `c0009`. On disk it is the number.
    CallId, "call id", "c", 4
);
numbered!(
    /// The id of an approval in its run, from 1, shown as `a1`. On disk it is the number.
    ApprovalId, "approval id", "a", 1
);

/// A SHA-256, shown and stored as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// The raw 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A hash from its raw bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first 12 hexadecimal digits, enough for people to compare.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Two of these are in every call's events, so not digit by digit through the formatter.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0_u8; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({})", self.short())
    }
}

impl FromStr for Hash {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { what: "SHA-256", text: text.to_owned() };
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Hash {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn ids_print_as_they_parse() {
        let id = RunId::new(Millis(1_779_978_721_204), [0xff, 0, 1, 2, 3]);
        assert_eq!(id.to_string().parse::<RunId>().unwrap(), id);
        assert_eq!(CallId(9).to_string(), "c0009");
        for text in ["c0009", "9", "c9"] {
            assert_eq!(text.parse::<CallId>().unwrap(), CallId(9));
        }
        assert!("c0".parse::<CallId>().is_err() && "x9".parse::<CallId>().is_err() && "c".parse::<CallId>().is_err());
        assert_eq!(ApprovalId(1).to_string(), "a1");
        let hash = Hash::of("x");
        assert_eq!(hash.to_string().parse::<Hash>().unwrap(), hash);
    }

    #[test]
    fn a_child_id_follows_from_parent_and_call() {
        let id = RunId::new(Millis(0), [1; 5]);
        assert_eq!(RunId::child(&id, CallId(2)), RunId::child(&id, CallId(2)));
        assert_ne!(RunId::child(&id, CallId(2)), RunId::child(&id, CallId(3)));
    }
}
