//! Rehearsals: the real script, generated answers, nothing recorded.
