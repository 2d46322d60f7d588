//! Request keys and cache keys: what makes two requests the same.

use serde_json::{Value, json};

use crate::core::call::{Ask, CallKind};
use crate::core::ids::Hash;
use crate::core::json::canonical;

/// The version of the request key's recipe; part of the hashed text.
pub const KEY_FORMAT: u32 = 1;

/// The canonical text that the request key hashes: format, kind, and what was asked. Absent options leave no trace, so a new
/// option does not change old keys.
pub fn request_text(kind: CallKind, ask: &Ask) -> String {
    let ask = serde_json::to_value(ask).unwrap_or(Value::Null);
    canonical(&json!({"v": KEY_FORMAT, "kind": kind.as_str(), "ask": ask}))
}

/// The request key: SHA-256 of [`request_text`].
pub fn request_key(kind: CallKind, ask: &Ask) -> Hash {
    Hash::of(request_text(kind, ask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_stable() {
        let ask = Ask { prompt: Some("hello".into()), ..Ask::default() };
        assert_eq!(request_text(CallKind::Agent, &ask), r#"{"ask":{"prompt":"hello"},"kind":"agent","v":1}"#);
        assert_eq!(
            request_key(CallKind::Agent, &ask).to_string(),
            Hash::of(r#"{"ask":{"prompt":"hello"},"kind":"agent","v":1}"#).to_string()
        );
    }
}
