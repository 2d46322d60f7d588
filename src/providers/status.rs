//! The one table from the status of a service to the class of the failure, for services and for programs that tell of one.

use std::ops::RangeInclusive;

use crate::core::outcome::ErrorClass;

/// The first row that holds the status counts. A 500 is the service's own trouble with this one request: only what says that the
/// service has too much to do slows down its siblings.
const TABLE: &[(RangeInclusive<u16>, ErrorClass)] = &[
    (401..=401, ErrorClass::Auth),
    (402..=402, ErrorClass::Quota),
    (403..=403, ErrorClass::Auth),
    (408..=409, ErrorClass::Transport),
    (413..=413, ErrorClass::ContextTooLong),
    (429..=429, ErrorClass::RateLimited),
    (400..=499, ErrorClass::BadRequest),
    (503..=503, ErrorClass::Overloaded),
    (529..=529, ErrorClass::Overloaded),
    (500..=599, ErrorClass::Transport),
];

/// The class of a status where the words that came with it say nothing better; none for one that is no failure.
pub(super) fn class_of(status: u16) -> Option<ErrorClass> {
    TABLE.iter().find(|(statuses, _)| statuses.contains(&status)).map(|(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_the_class_of_the_table() {
        use ErrorClass::{Auth, BadRequest, ContextTooLong, Overloaded, Quota, RateLimited, Transport};
        let rows = [
            (400, BadRequest, false),
            (401, Auth, false),
            (402, Quota, false),
            (403, Auth, false),
            (404, BadRequest, false),
            (405, BadRequest, false),
            (408, Transport, true),
            (409, Transport, true),
            (413, ContextTooLong, false),
            (422, BadRequest, false),
            (429, RateLimited, true),
            (500, Transport, true),
            (502, Transport, true),
            (503, Overloaded, true),
            (504, Transport, true),
            (529, Overloaded, true),
            (599, Transport, true),
        ];
        for (status, class, retryable) in rows {
            assert_eq!(class_of(status), Some(class), "{status}");
            assert_eq!(class.is_retryable(), retryable, "{status}");
        }
        for status in [0, 200, 301, 399, 600] {
            assert_eq!(class_of(status), None, "{status}");
        }
    }
}
