//! Views of hand-made journals.
