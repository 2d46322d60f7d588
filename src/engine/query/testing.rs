//! A store with hand-made journals.
